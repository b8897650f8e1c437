//! The house rules that a compiler does not check: who may use whom, and what a room must not name. Each rule has faults
//! planted beside it, which must be found. `ARCHITECTURE.md` says what the rooms are for.

mod source;

use source::{Source, module, read};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate: where its files are, and its rooms in the order of dependency. Each may use only what stands before it (its own
/// line's rooms included).
struct House {
    src: &'static str,
    order: &'static [&'static [&'static str]],
    /// Arrows that still point back: the file, and the room that it uses.
    backward: &'static [(&'static str, &'static str)],
}

const LIBRARY: House = House {
    src: "src",
    order: &[
        &["error"],
        &["files"],
        &["kernel"],
        // An op may hold a graph, the body of a loop, and a graph is made of ops.
        &["graph", "ops"],
        &["grad", "compile"],
        &["run"],
        &["tensor"],
        &["nn", "optim", "ode", "flow", "transport"],
        &["data", "plot"],
        &["text"],
        &["train", "check"],
        &["models"],
    ],
    backward: &[],
};

/// A crate of its own, which the library calls `kernel`. The launch language knows no device.
const KERNELS: House = House {
    src: "src/kernel",
    order: &[
        &["view", "bf16", "elementwise", "random", "limits", "precision"],
        &["tiled", "chain", "gemm", "attention", "conv", "pool", "lookup", "call"],
        &["nest", "work", "cost", "schedule", "verify"],
        &["cpu", "cuda"],
    ],
    backward: &[],
};

/// The stages of `net!`, each a function from one type to the next.
const LANGUAGE: House = House {
    src: "macros/lang/src",
    order: &[
        &["report", "case"],
        &["ast"],
        &["around"],
        &["terms", "functions"],
        &["initialisers", "habits"],
        &["parse"],
        &["borders"],
        &["resolve"],
        &["infer"],
        &["expand"],
    ],
    backward: &[("report.rs", "borders"), ("parse/mod.rs", "borders")],
};

/// Something that a room must not name.
struct Absence {
    /// The folder or file of the room.
    room: &'static str,
    /// Folders in it for which it does not hold.
    except: &'static [&'static str],
    what: fn(&Source) -> Vec<(usize, String)>,
    why: &'static str,
    /// Files of the room that still do.
    known: &'static [&'static str],
    /// Code that names it, in as many ways as there are to miss it.
    planted: &'static [&'static str],
}

const ABSENCES: &[Absence] = &[
    Absence {
        room: "src/grad.rs",
        except: &[],
        what: |source| naming(source, &["crate", "graph", "Op"]),
        why: "the reverse walk names no op: its rule belongs beside the op in src/ops",
        known: &[],
        planted: &[
            "use crate::graph::{\n    Graph,\n    Op,\n};",
            "fn f(node: &Node) { match node.op { crate::graph::Op::MatMul { .. } => {} other => g(other) } }",
            "use crate::graph;\nfn f(node: &Node) -> bool { matches!(node.op, graph::Op::Cast) }",
            "use super::graph::Op as Operation;",
        ],
    },
    Absence {
        room: "src",
        except: &["src/lib.rs"],
        what: |source| naming(source, &["ansatz_kernel"]),
        why: "the crate of kernels is `crate::kernel`, by which these rules know it",
        known: &[],
        planted: &["use ansatz_kernel::cpu::Real;", "fn f(x: ansatz_kernel::cpu::Scratch) {}"],
    },
    Absence {
        room: "src/compile",
        except: &[],
        what: |source| naming(source, &["crate", "kernel", "cpu"]),
        why: "what compile makes is a description for any device: a type of the CPU belongs into run",
        known: &[],
        planted: &[
            "use crate::{error::Result, kernel::{chain::Chain, cpu::Gemm}};",
            "use crate::kernel;\nfn f() -> usize { kernel::cpu::threads() }",
            "use crate::kernel as k;\nfn f(x: &k::cpu::Lookup) {}",
        ],
    },
    Absence {
        room: "src",
        except: &["src/ops"],
        what: wildcards_over_ops,
        why: "each op answers for itself in src/ops: with an arm for all that is left, a new op is forgotten in silence",
        known: &[],
        planted: &[
            "fn f(op: &Op) -> bool { match op { Op::MatMul { .. } => true, _ => false } }",
            "fn f(n: &Node) { match (&n.op, 1) { (crate::graph::Op::Cast, 1) => {} (Op::Slice { .. }, _) => {} other => g(other) } }",
            "use crate::graph::Op::*;\nfn f(op: &Op) -> bool { match op { MatMul { .. } => true, _ => false } }",
            "use crate::graph::Op as O;\nfn f(op: &O) { let g = || match op { O::Cast | O::Select => 1, _ => 2 }; }",
        ],
    },
    Absence {
        room: "src",
        except: &["src/ops"],
        what: names_of_ops,
        why: "a pass asks an op what kind it is, and knows none by name: a new op is then a file in src/ops and a row",
        // The body of a loop is a graph, whose inputs they move.
        known: &["src/compile/fuse/nest.rs", "src/compile/simplify/nest.rs"],
        planted: &[
            "fn f(op: &Op) -> bool { matches!(op, Op::MatMul { .. }) }",
            "fn f(g: &mut Graph) { g.push(crate::graph::Op::Cast, vec![], vec![], DType::F32); }",
            "use crate::graph::Op as O;\nfn f(op: &O) -> bool { if let O::Loop(_) = op { true } else { false } }",
            "use crate::ops::Op::Reshape;",
        ],
    },
    Absence {
        room: "src",
        except: &["src/kernel", "src/run", "src/text/tokens.rs"],
        what: |source| source.unsafes.iter().map(|line| (*line, "unsafe code".to_owned())).collect(),
        why: "memory is handled in src/kernel and src/run alone, and src/text maps files of tokens",
        known: &[],
        planted: &["fn f(x: *const f32) -> f32 { unsafe { *x } }", "unsafe impl Send for A {}", "unsafe fn f() {}"],
    },
    Absence {
        room: "macros/lang/src/infer",
        except: &[],
        what: |source| naming(source, &["crate", "expand"]),
        why: "types are inferred before anything is written",
        known: &[],
        planted: &["fn f() -> String { crate::expand::capitals(\"a\") }"],
    },
];

fn naming(source: &Source, what: &[&str]) -> Vec<(usize, String)> {
    let named =
        source.names.iter().filter(|named| named.path.iter().zip(what).filter(|(a, b)| a == b).count() == what.len());
    named.map(|named| (named.line, named.path.join("::"))).collect()
}

fn names_of_ops(source: &Source) -> Vec<(usize, String)> {
    let named = source.names.iter().filter(|named| named.path.len() > 1 && named.path[named.path.len() - 2] == "Op");
    named.map(|named| (named.line, named.path.join("::"))).collect()
}

fn wildcards_over_ops(source: &Source) -> Vec<(usize, String)> {
    let is_op = |path: &Vec<String>| path.len() > 1 && path[path.len() - 2] == "Op";
    let over = source.wildcards.iter().filter(|wildcard| wildcard.over.iter().any(is_op));
    over.map(|wildcard| (wildcard.line, "a `match` over `Op` with an arm for all that is left".to_owned())).collect()
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder with what they say outside of tests, by their paths from the root of the repository. Files that only
/// tests have are left out.
fn sources(folder: &str) -> HashMap<String, Source> {
    fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                // What has a manifest is a crate of its own.
                true if path.join("Cargo.toml").exists() => {}
                true => rust_files(&path, files),
                false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
                false => {}
            }
        }
    }
    let root = &root();
    let mut files = Vec::new();
    rust_files(&root.join(folder), &mut files);
    let mut sources = HashMap::new();
    for file in files {
        let name = |base: &Path| file.strip_prefix(base).unwrap().to_str().unwrap().replace('\\', "/");
        sources.insert(name(root), read(&name(&root.join(folder)), &fs::read_to_string(&file).unwrap()));
    }
    let tests: BTreeSet<Vec<String>> = sources.values().flat_map(|source| source.test_modules.clone()).collect();
    sources.retain(|file, _| {
        let module = module(file.strip_prefix(folder).unwrap().trim_start_matches('/'));
        !(1..=module.len()).any(|length| tests.contains(&module[..length]))
    });
    assert!(sources.len() > 10, "{folder} holds no files");
    sources
}

/// Whether a file is a room's own or stands in its folder.
fn stands_in(file: &str, room: &str) -> bool {
    file == room || file.strip_prefix(room).is_some_and(|rest| rest.starts_with('/'))
}

impl House {
    fn level(&self, room: &str) -> Option<usize> {
        self.order.iter().position(|rooms| rooms.contains(&room))
    }

    /// The rooms that a file uses and that stand after its own, with their lines.
    fn backward(&self, file: &str, source: &Source) -> Vec<(usize, String)> {
        let own = module(file).get(1).cloned();
        // The root of the crate, which puts the rooms together.
        let Some(own) = own else { return vec![] };
        let level =
            self.level(&own).unwrap_or_else(|| panic!("the room `{own}` has no place in the order of {}", self.src));
        let rooms = source.names.iter().filter(|named| named.path[0] == "crate");
        let rooms = rooms.filter_map(|named| Some((named.line, named.path.get(1)?.clone())));
        rooms.filter(|(_, room)| self.level(room).is_some_and(|used| used > level)).collect()
    }

    fn check(&self) {
        let (mut faults, mut unseen): (Vec<String>, BTreeSet<_>) = (vec![], self.backward.iter().copied().collect());
        for (path, source) in sources(self.src) {
            let file = &path[self.src.len() + 1..];
            for (line, room) in self.backward(file, &source) {
                match self.backward.iter().find(|(known, used)| *known == file && *used == room) {
                    Some(known) => drop(unseen.remove(known)),
                    None => faults.push(format!("{path}:{line} uses `{room}`, which stands after it")),
                }
            }
        }
        faults
            .extend(unseen.iter().map(|(file, room)| format!("{file} uses `{room}` no more: strike it off the list")));
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn no_room_uses_one_that_stands_after_it() {
    LIBRARY.check();
    KERNELS.check();
    LANGUAGE.check();
}

#[test]
fn a_planted_arrow_is_found() {
    for (house, file, text) in [
        (&LIBRARY, "graph/build.rs", "use crate::run::Program;"),
        (
            &LIBRARY,
            "graph/build.rs",
            "use crate::{\n    error::Result,\n    tensor::{\n        Var,\n        dims,\n    },\n};",
        ),
        (&LIBRARY, "graph/build.rs", "fn f() { let x = crate::nn::init::<f32>(1); }"),
        (&LIBRARY, "grad.rs", "use super::models;"),
        (&LIBRARY, "ops/mod.rs", "macro_rules! f { () => { $crate::train::fit() } }"),
        (&KERNELS, "work.rs", "use super::cpu::Operand;\nfn f() {}"),
        (&KERNELS, "nest.rs", "#[cfg(not(test))]\nmod inner { pub fn f(x: &super::super::cpu::Scratch) {} }"),
        (&LANGUAGE, "infer/mod.rs", "use crate::{ast::Expr, expand};"),
        (&LANGUAGE, "parse/mod.rs", "fn f() { println!(\"{}\", crate::infer::results(3)) }"),
    ] {
        assert!(!house.backward(file, &read(file, text)).is_empty(), "{text}");
    }
    for (file, text) in [
        ("grad.rs", "use crate::graph::Graph; // crate::models"),
        ("grad.rs", "/// See [`crate::models`].\nfn f() { g(\"crate::models\"); }"),
        ("grad.rs", "#[cfg(test)]\nmod tests { use crate::run::State; }\nfn f() {}"),
        ("grad.rs", "#[test]\nfn f() { crate::run::f(); }"),
        ("grad.rs", "use ::models::run; fn f() { quote! { ::ansatz::models::Net } }"),
    ] {
        assert!(LIBRARY.backward(file, &read(file, text)).is_empty(), "{text}");
    }
    // What stands behind the tests counts too.
    let behind = read("grad.rs", "#[cfg(test)]\nmod tests {}\nuse crate::run::State;");
    assert_eq!(LIBRARY.backward("grad.rs", &behind), [(3, "run".to_owned())]);
}

#[test]
fn rooms_do_not_name_what_they_should_not_know() {
    let all: HashMap<String, Source> =
        [LIBRARY, KERNELS, LANGUAGE].iter().flat_map(|house| sources(house.src)).collect();
    let mut faults = vec![];
    for absence in ABSENCES {
        let mut unseen: BTreeSet<&str> = absence.known.iter().copied().collect();
        let files = all.iter().filter(|(file, _)| stands_in(file, absence.room));
        for (file, source) in files.filter(|(file, _)| !absence.except.iter().any(|room| stands_in(file, room))) {
            let found = (absence.what)(source);
            match absence.known.contains(&&**file) {
                true if found.is_empty() => {}
                true => drop(unseen.remove(&**file)),
                false => {
                    faults.extend(found.iter().map(|(line, what)| format!("{file}:{line}: {what}; {}", absence.why)))
                }
            }
        }
        faults.extend(unseen.iter().map(|file| format!("{file} is cured: strike it off the list ({})", absence.why)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_planted_in_a_room_is_found() {
    for absence in ABSENCES {
        let file = if absence.room.ends_with(".rs") {
            absence.room.to_owned()
        } else {
            format!("{}/room/mod.rs", absence.room)
        };
        let below = file.trim_start_matches("macros/lang/").trim_start_matches("src/").to_owned();
        for text in absence.planted {
            assert!(!(absence.what)(&read(&below, text)).is_empty(), "{}: {text}", absence.room);
            let tested = format!("#[cfg(test)] mod tests {{ {text} }}");
            assert!((absence.what)(&read(&below, &tested)).is_empty(), "{tested}");
        }
    }
    let allowed = "fn f(op: &Op) { match op { Op::Cast => {} other if g(other) => {} Op::Select => {} } match 1 { 2 => Op::Cast, _ => h() }; }";
    assert!(wildcards_over_ops(&read("run/mod.rs", allowed)).is_empty());
}

/// What a user names. The rest is the inside of the library; what the benches need of it, `engine` shows them.
const PUBLIC: [&str; 18] = [
    "check",
    "data",
    "error",
    "flow",
    "grad",
    "graph",
    "language",
    "models",
    "nn",
    "ode",
    "ops",
    "optim",
    "plot",
    "prelude",
    "tensor",
    "text",
    "train",
    "transport",
];

#[test]
fn the_rooms_that_a_user_names_are_public() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let hidden = |attributes: &[syn::Attribute]| {
        attributes.iter().any(|attribute| attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden"))
    };
    let items = syn::parse_file(&text).unwrap().items;
    let public = items.iter().filter_map(|item| match item {
        syn::Item::Mod(room) if matches!(room.vis, syn::Visibility::Public(_)) && !hidden(&room.attrs) => {
            Some(room.ident.to_string())
        }
        _ => None,
    });
    assert_eq!(public.collect::<BTreeSet<_>>(), PUBLIC.map(str::to_owned).into());
}

#[test]
fn no_golden_message_shows_type_level_digits() {
    let ui = root().join("tests/ui");
    for entry in fs::read_dir(ui).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "stderr") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("UInt<"), "{} shows type-level digits", path.display());
        }
    }
}
