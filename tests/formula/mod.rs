//! Numbers that a formula gives, and sketches of tensors; `fixtures/formula.py` has the same.
#![allow(dead_code, reason = "every test that has this module uses a part of it")]

/// splitmix64.
fn mix(z: u64) -> u64 {
    let mut z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9_u64), (27, 0x94D0_49BB_1331_11EB)] {
        z = (z ^ (z >> shift)).wrapping_mul(factor);
    }
    z ^ (z >> 31)
}

/// FNV-1a.
pub fn seed(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// On [−1, 1), a number of 24 bits for each place of the tensor of this name.
pub fn uniform(name: &str, len: usize) -> Vec<f64> {
    let seed = seed(name);
    (0..len as u64).map(|i| (mix(seed.wrapping_add(i)) >> 40) as f64 / f64::from(1 << 23) - 1.0).collect()
}

/// The norm, and four sums with random signs: how far those of two tensors are apart says how far the tensors are.
#[derive(Clone, Copy, Debug)]
pub struct Sketch {
    pub norm: f64,
    pub sums: [f64; 4],
}

impl Sketch {
    pub fn of(values: &[f64]) -> Self {
        let mut sums = [0.0; 4];
        for (i, value) in values.iter().enumerate() {
            let bits = mix(i as u64);
            sums.iter_mut().enumerate().for_each(|(k, sum)| *sum += if bits >> k & 1 == 0 { *value } else { -value });
        }
        Sketch { norm: values.iter().map(|x| x * x).sum::<f64>().sqrt(), sums }
    }

    /// Five numbers of a fixture.
    pub fn read(numbers: &[f64]) -> Self {
        let &[norm, a, b, c, d] = numbers else { panic!("a sketch has five numbers, not {numbers:?}") };
        Sketch { norm, sums: [a, b, c, d] }
    }

    /// An estimate of the norm of the difference of two tensors.
    pub fn off(&self, other: &Self) -> f64 {
        let squares = self.sums.iter().zip(&other.sums).map(|(a, b)| (a - b).powi(2));
        (squares.sum::<f64>() / 4.0).sqrt().max((self.norm - other.norm).abs())
    }
}
