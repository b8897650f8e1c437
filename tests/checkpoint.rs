//! Model files: PyTorch's names and layouts, every mismatch at once, no panic on any bytes.

use ansatz::nn::{self, Linear, Model, Path, Slot, Source, Visitor};
use ansatz::tensor::{Const, Float, to_vec};
use ansatz::train::{Load, load, load_into, save};
use ansatz::{Error, Result};
use proptest::prelude::*;
use std::path::PathBuf;

/// Two layers, as `net!` would declare them.
#[derive(Clone, Debug)]
struct Mlp<E: Float = f32> {
    fc1: Linear<Const<4>, Const<5>, E>,
    fc3: Linear<Const<5>, Const<3>, E>,
}

impl<E: Float> Model<E> for Mlp<E> {
    const PARAMETERS: usize = 43;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        <Linear<Const<4>, Const<5>, E> as Model<E>>::describe(&path.child("fc1"), slots);
        <Linear<Const<5>, Const<3>, E> as Model<E>>::describe(&path.child("fc3"), slots);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(Mlp { fc1: Model::build(&path.child("fc1"), source)?, fc3: Model::build(&path.child("fc3"), source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        self.fc1.visit(&path.child("fc1"), visitor)?;
        self.fc3.visit(&path.child("fc3"), visitor)
    }
}

/// The net around it.
#[derive(Clone, Debug)]
struct Risk {
    mlp: Mlp,
}

impl Model<f32> for Risk {
    const PARAMETERS: usize = 43;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        Mlp::<f32>::describe(&path.child("mlp"), slots);
    }

    fn build(path: &Path, source: &mut dyn Source<f32>) -> Result<Self> {
        Ok(Risk { mlp: Model::build(&path.child("mlp"), source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<f32>) -> Result<()> {
        self.mlp.visit(&path.child("mlp"), visitor)
    }
}

fn values<E: Float>(model: &Mlp<E>) -> Vec<Vec<E>> {
    vec![to_vec(&model.fc1.weight), to_vec(&model.fc1.bias), to_vec(&model.fc3.weight), to_vec(&model.fc3.bias)]
}

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    (folder, path)
}

fn problems<T: std::fmt::Debug>(result: Result<T>) -> Vec<String> {
    match result.expect_err("the file does not fit") {
        Error::Checkpoint { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

const PYTORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/checkpoint.safetensors");

#[test]
fn a_file_of_pytorch_is_read() {
    let mut model: Mlp = nn::init(1);
    let loaded = load_into(&mut model, PYTORCH, &Load::new().ignore("*put")).expect("the file fits");
    assert_eq!(loaded.extra, ["input", "output"]);
    let bytes = std::fs::read(PYTORCH).expect("the fixture");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("the fixture");
    let tensor = |key: &str| -> Vec<f32> {
        let view = file.tensor(key).expect(key);
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
    };
    let affine = |weight: &[f32], bias: &[f32], x: &[f32]| -> Vec<f32> {
        let rows = weight.chunks_exact(x.len()).zip(bias);
        rows.map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b).collect()
    };
    let [w1, b1, w3, b3] = &values(&model)[..] else { panic!("four tensors") };
    let hidden: Vec<f32> = affine(w1, b1, &tensor("input")).into_iter().map(|x| x.max(0.0)).collect();
    for (ours, theirs) in affine(w3, b3, &hidden).into_iter().zip(tensor("output")) {
        assert!((ours - theirs).abs() < 1e-6, "{ours} and {theirs}");
    }
}

#[test]
fn a_file_has_pytorchs_names_shapes_and_note() {
    let (_folder, path) = temporary();
    save(&nn::init::<f32, Mlp>(1), &path).expect("it can be written");
    let bytes = std::fs::read(&path).expect("the file");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let shape = |key: &str| header.info(key).map(|info| info.shape.clone());
    assert_eq!(shape("fc1.weight"), Some(vec![5, 4]));
    assert_eq!(shape("fc3.bias"), Some(vec![3]));
    assert_eq!(header.tensors().len(), 4);
    assert_eq!(header.metadata().as_ref().and_then(|m| m.get("format")).map(String::as_str), Some("pt"));
}

#[test]
fn equal_models_are_equal_files() {
    let bytes = || {
        let (_folder, path) = temporary();
        save(&nn::init::<f32, Mlp>(1), &path).expect("it can be written");
        std::fs::read(&path).expect("the file")
    };
    let first = bytes();
    assert_eq!(first, bytes());
    let header = 8 + u64::from_le_bytes(*first.first_chunk().expect("a length")) as usize;
    assert!(header.is_multiple_of(8), "tensors are aligned");
}

#[test]
fn every_mismatch_is_listed_and_the_model_unchanged() {
    let (_folder, path) = temporary();
    let view = |shape: &[usize], bytes: &'static [u8], dtype| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), bytes).expect("well-formed")
    };
    use safetensors::Dtype;
    let tensors = [
        ("fc1.weight", view(&[4, 5], &[0; 80], Dtype::F32)),
        ("fc1.bias", view(&[5], &[0; 40], Dtype::F64)),
        ("fc3.weight", view(&[3, 5], &[0; 30], Dtype::F16)),
        ("fc4.bias", view(&[3], &[0; 12], Dtype::F32)),
    ];
    std::fs::write(&path, safetensors::serialize(tensors, None).expect("well-formed")).expect("a temporary file");
    let mut model: Mlp = nn::init(3);
    let before = values(&model);
    let found = problems(load_into(&mut model, &path, &Load::new()));
    assert_eq!(
        found,
        [
            "`fc1.weight` is [4, 5] in the file and [5, 4] in the model",
            "`fc1.bias` is f64 in the file and f32 in the model; `Load::convert` converts it",
            "`fc3.weight` is f16 in the file and f32 in the model; `Load::convert` converts it",
            "`fc3.bias` of shape [3] is missing",
            "`fc4.bias` is in the file, but not in the model",
        ]
    );
    assert_eq!(values(&model), before);
    let text = load::<f32, Mlp>(&path).expect_err("it does not fit").to_string();
    assert!(text.contains("model.safetensors") && text.contains("\n  - `fc1.weight` is [4, 5]"), "{text}");

    let options = Load::new().partial().convert().ignore("*.weight");
    let loaded = load_into(&mut model, &path, &options).expect("the rest fits");
    assert_eq!(loaded.missing, ["fc1.weight", "fc3.weight", "fc3.bias"]);
    let mut extra = loaded.extra;
    extra.sort();
    assert_eq!(extra, ["fc1.weight", "fc3.weight", "fc4.bias"]);
    assert_eq!(values(&model)[1], [0.0; 5]);
    assert_eq!(values(&model)[0], before[0]);
}

#[test]
fn element_types_are_converted_on_demand() {
    let (_folder, path) = temporary();
    let single: Mlp<f32> = nn::init(5);
    save(&single, &path).expect("it can be written");
    let found = problems(load::<f64, Mlp<f64>>(&path));
    assert_eq!(found.len(), 4);
    let mut double: Mlp<f64> = nn::init(6);
    load_into(&mut double, &path, &Load::new().convert()).expect("it fits");
    let widened: Vec<Vec<f64>> = values(&single).iter().map(|v| v.iter().map(|&x| f64::from(x)).collect()).collect();
    assert_eq!(values(&double), widened);
    save(&double, &path).expect("it can be written");
    let mut back: Mlp<f32> = nn::init(7);
    load_into(&mut back, &path, &Load::new().convert()).expect("it fits");
    assert_eq!(values(&back), values(&single));
}

#[test]
fn parts_are_read_by_prefix() {
    let (_folder, path) = temporary();
    let whole = Risk { mlp: nn::init(1) };
    save(&whole, &path).expect("it can be written");
    let hint = problems(load::<f32, Mlp>(&path));
    assert!(hint[0].contains("`Load::file_prefix(\"mlp\")` reads it"), "{hint:?}");
    let mut part: Mlp = nn::init(2);
    load_into(&mut part, &path, &Load::new().file_prefix("mlp")).expect("it fits");
    assert_eq!(values(&part), values(&whole.mlp));

    let other: Mlp = nn::init(3);
    save(&other, &path).expect("it can be written");
    let mut into = whole.clone();
    load_into(&mut into, &path, &Load::new().model_prefix("mlp")).expect("it fits");
    assert_eq!(values(&into.mlp), values(&other));
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one() {
    let (folder, path) = temporary();
    save(&nn::init::<f32, Mlp>(1), &path).expect("it can be written");
    let before = std::fs::read(&path).expect("the file");
    // A folder stands where the file should go.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("a folder");
    let error = save(&nn::init::<f32, Mlp>(2), &taken).expect_err("a folder is no file").to_string();
    assert!(error.ends_with("is a folder, where a file is expected"), "{error}");
    assert_eq!(std::fs::read(&path).expect("the file"), before);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
    let missing = load::<f32, Mlp>(folder.path().join("none")).expect_err("there is no file").to_string();
    assert!(missing.starts_with("cannot read"), "{missing}");
}

#[test]
fn damaged_headers_are_named() {
    let (_folder, path) = temporary();
    let mut whole = Vec::new();
    save(&nn::init::<f32, Mlp>(1), &path).expect("it can be written");
    whole.extend(std::fs::read(&path).expect("the file"));
    let mut absurd = whole.clone();
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    for (bytes, part) in [
        (&whole[..5], "has 5 bytes"),
        (&whole[..20], "only 12 follow"),
        (&whole[..whole.len() - 1], "cut off"),
        (&absurd[..], "should be 18446744073709551615 bytes long"),
        (&b"\x02\0\0\0\0\0\0\0[]"[..], "the header is damaged"),
        (&[][..], "has 0 bytes"),
    ] {
        std::fs::write(&path, bytes).expect("a temporary file");
        let found = problems(load::<f32, Mlp>(&path));
        assert!(found[0].contains(part), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_saved_is_loaded_bit_by_bit(bits in prop::collection::vec(any::<u32>(), 43)) {
        struct Bits(Vec<f32>);
        impl Source<f32> for Bits {
            fn tensor(&mut self, slot: &Slot) -> Result<Vec<f32>> {
                let rest = self.0.split_off(slot.dims.iter().product());
                Ok(std::mem::replace(&mut self.0, rest))
            }
        }
        // Every finite number, infinity and NaN is a weight.
        let model = Mlp::build(&Path::root(), &mut Bits(bits.iter().map(|&b| f32::from_bits(b)).collect()))?;
        let (_folder, path) = temporary();
        save(&model, &path)?;
        let read: Mlp = load(&path)?;
        let raw = |model: &Mlp| values(model).concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(raw(&model), raw(&read));
    }

    #[test]
    fn damaged_bytes_are_errors_and_leave_the_model(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..8),
        keep in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
        in_header in any::<bool>(),
    ) {
        let (_folder, path) = temporary();
        save(&nn::init::<f32, Mlp>(1), &path)?;
        let mut bytes = std::fs::read(&path).expect("the file");
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let reach = if in_header { header } else { bytes.len() };
        for (place, bit) in &flips {
            bytes[place.index(reach)] ^= 1 << bit;
        }
        if truncate {
            bytes.truncate(keep.index(bytes.len()));
        }
        std::fs::write(&path, &bytes).expect("a temporary file");
        let mut model: Mlp = nn::init(2);
        let before = values(&model);
        match load_into(&mut model, &path, &Load::new()) {
            Ok(_) => prop_assert!(!truncate),
            Err(Error::Checkpoint { problems, .. }) => {
                prop_assert!(!problems.is_empty());
                prop_assert_eq!(values(&model), before);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
