//! The models for images of the library.
#![deny(warnings)]

use ansatz::models::unet::UNet28;
use ansatz::nn;
use ansatz::prelude::*;

#[test]
fn a_unet_knows_the_time_and_keeps_the_shape() {
    let net: UNet28 = UNet28::init(0);
    let keys: Vec<String> = nn::slots::<f32, UNet28>().into_iter().map(|slot| slot.key).collect();
    let weights: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix(".weight")).collect();
    assert_eq!(weights[..5], ["time.linear1", "time.linear2", "down1.conv1", "down1.norm1", "down1.time"]);
    assert_eq!(weights[7..9], ["halve1", "down2.conv1"]);
    let block = |i: usize, o: usize| (9 * i * o + o) + (9 * o * o + o) + 4 * o + (128 * o + o);
    let conv = |i: usize, o: usize| 9 * i * o + o;
    let blocks = block(1, 32) + block(32, 64) + block(64, 128) + block(192, 64) + block(96, 32);
    let time = 64 * 128 + 128 + 128 * 128 + 128;
    assert_eq!(UNet28::PARAMETERS, time + blocks + conv(32, 32) + conv(64, 64) + conv(32, 1));

    let x = from_vec((0..2 * 784).map(|i| (i as f32 * 0.1).sin()).collect(), (2, Const, Const, Const)).unwrap();
    let s = |s: f32| from_vec(vec![s, 0.5], (2, Const)).unwrap();
    let (early, late) = (net.forward(x.clone(), s(0.25)).unwrap(), net.forward(x, s(0.75)).unwrap());
    let (early, late) = (to_vec(&early), to_vec(&late));
    assert!(early[..784].iter().zip(&late[..784]).all(|(a, b)| a.is_finite() && a != b));
    assert_eq!(early[784..], late[784..]);
}
