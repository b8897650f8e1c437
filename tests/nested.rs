//! Equations inside of equations: each way to the gradient, of each order, against differences.

use ansatz::prelude::*;

net! {
    pub net StoredInStored(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = rk4(2), gradient = stored,
                |y, s| y |> ode(s = 0..0.5, by = midpoint(2), gradient = stored, |y, t| y |> linear(2) |> tanh |> |k| k + s * t))
          |> square |> mean
    }
    pub net RecomputedInStored(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = rk4(2), gradient = stored,
                |y, s| y |> ode(s = 0..0.5, by = midpoint(2), gradient = recompute, |y, t| y |> linear(2) |> tanh |> |k| k + s * t))
          |> square |> mean
    }
    pub net StoredInRecomputed(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = rk4(2), gradient = recompute,
                |y, s| y |> ode(s = 0..0.5, by = midpoint(2), gradient = stored, |y, t| y |> linear(2) |> tanh |> |k| k + s * t))
          |> square |> mean
    }
    pub net InCnf(y: [n, 2]) -> [] {
        let (z, change) = y |> cnf(s = 0..1, by = rk4(2),
            |z, s| z |> ode(s = 0..0.5, by = midpoint(2), gradient = stored, |z, t| z |> linear(2) |> tanh |> |k| k + s * t));
        mean(square(z)) - mean(change)
    }
}

ansatz::gradcheck!(StoredInStored);
ansatz::gradcheck!(RecomputedInStored);
ansatz::gradcheck!(StoredInRecomputed);
ansatz::gradcheck!(InCnf);

#[test]
fn all_ways_agree() {
    let y = || from_vec(vec![0.5, -0.3, 0.8, 0.1], (2, Const)).unwrap();
    macro_rules! gradient {
        ($net:ident, $batch:ident) => {{
            let net: $net<f64> = $net::init(5);
            let (loss, gradient) = net.gradient(&$batch { y: y() }).unwrap();
            [to_vec(&loss), to_vec(&gradient.linear1.weight)].concat()
        }};
    }
    let all = [
        gradient!(StoredInStored, StoredInStoredBatch),
        gradient!(RecomputedInStored, RecomputedInStoredBatch),
        gradient!(StoredInRecomputed, StoredInRecomputedBatch),
    ];
    for other in &all[1..] {
        assert!(other.iter().zip(&all[0]).all(|(a, b)| (a - b).abs() < 1e-13), "{all:?}");
    }
}
