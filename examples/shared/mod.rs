//! What the examples have in common: the words they understand, lines that may end in a closed pipe, and trainings that stop
//! when they are told and go on later.
#![allow(dead_code)] // no example needs all of it

use ansatz::nn::Net;
use ansatz::prelude::*;
use ansatz::train::{Builder, History};
use lexopt::{Arg, ValueExt};
use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A line of a program's output. Who reads it may have seen enough: then the program ends.
macro_rules! say {
    ($($text:tt)*) => { $crate::shared::line(format_args!($($text)*)) };
}
pub(crate) use say;

pub fn line(text: Arguments<'_>) {
    show(format_args!("{text}\n"));
}

/// A piece of a line, at once.
pub fn show(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            let _ = writeln!(std::io::stderr(), "the output cannot be written: {error}");
        }
        exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

/// What an example says of itself.
pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    /// How long it trains unless told otherwise, and in what; 0 if it does not.
    pub length: (u64, &'static str),
    /// Options of its own: name, what its value is (none for a flag), what it does.
    pub options: &'static [(&'static str, &'static str, &'static str)],
    /// What other words are, if it takes any.
    pub words: &'static str,
}

/// What it is asked for.
pub struct Options {
    name: &'static str,
    pub seed: u64,
    /// Epochs, or updates.
    pub length: u64,
    pub resume: bool,
    /// Where it trains.
    pub device: Device,
    pub words: Vec<String>,
    out: PathBuf,
    own: Vec<(&'static str, String)>,
}

impl Program {
    /// Reads the arguments. `--help` shows what there is, and ends the program.
    pub fn options(&self) -> Result<Options> {
        let mut device = String::from("cpu");
        let mut asked = Options {
            name: self.name,
            seed: 1,
            length: self.length.0,
            resume: false,
            device: Device::cpu(),
            words: vec![],
            out: "out".into(),
            own: vec![],
        };
        self.read(&mut asked, &mut device).map_err(|problem| {
            let problem = problem.to_string();
            let problem = problem.replace("invalid option", "there is no option");
            Error::Value(format!("{problem}; `--help` shows what `{}` understands", self.name))
        })?;
        asked.device = match device.split_once(':').unwrap_or((&device, "0")) {
            ("cpu", _) => Device::cpu(),
            ("cuda", number) if number.parse::<usize>().is_ok() => Device::cuda(number.parse().unwrap_or(0))?,
            _ => return Err(Error::Value(format!("`--device` is cpu, cuda or cuda:N, and not `{device}`"))),
        };
        Ok(asked)
    }

    fn read(&self, asked: &mut Options, device: &mut String) -> Result<(), lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => {
                    self.help();
                    exit(0);
                }
                Arg::Long("seed") => asked.seed = parser.value()?.parse()?,
                Arg::Long("out") => asked.out = parser.value()?.into(),
                Arg::Long("device") if self.length.0 > 0 => *device = parser.value()?.string()?,
                Arg::Long("resume") if self.length.0 > 0 => asked.resume = true,
                Arg::Long(name) if self.length.0 > 0 && name == self.length.1 => {
                    asked.length = parser.value()?.parse()?;
                    if asked.length == 0 {
                        return Err(format!("`--{}` takes a number above 0", self.length.1).into());
                    }
                }
                Arg::Long(name) => match self.options.iter().find(|(known, ..)| *known == name) {
                    Some(&(name, "", _)) => asked.own.push((name, String::new())),
                    Some(&(name, ..)) => asked.own.push((name, parser.value()?.string()?)),
                    None => return Err(Arg::Long(name).unexpected()),
                },
                Arg::Value(word) if !self.words.is_empty() => asked.words.push(word.string()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    fn help(&self) {
        let words = if self.words.is_empty() { String::new() } else { format!(" [{}]", self.words) };
        say!("{}\n\ncargo run --release --example {} -- [OPTIONS]{words}\n", self.about, self.name);
        let row = |name: &str, value: &str, about: &str| {
            say!("  {:<22}{about}", format!("--{name} {value}"));
        };
        row("seed", "N", "what all random draws follow from (1)");
        row("out", "FOLDER", "where files are written (out)");
        if let (length @ 1.., what) = self.length {
            row(what, "N", &format!("how long it trains ({length})"));
            row("device", "cpu|cuda[:N]", "where it trains (cpu); a GPU takes the feature `cuda`");
            row("resume", "", "goes on where Ctrl-C has stopped it");
        }
        self.options.iter().for_each(|(name, value, about)| row(name, value, about));
        row("help", "", "this");
    }
}

impl Options {
    /// Whether a flag of its own is given.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of an option of its own.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.own.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// A file to write.
    pub fn path(&self, file: &str) -> PathBuf {
        self.out.join(file)
    }

    /// Trains to the end, with a bar. Ctrl-C stops it after the batch, and it goes on from there with `--resume`.
    pub fn fit<N: Net<f32>>(
        &self,
        part: &str,
        builder: Builder<N>,
        train: &dyn Dataset<N::Batch>,
        test: Option<&dyn Dataset<N::Batch>>,
    ) -> Result<(Trainer<N>, History)> {
        let file = self.path(&format!("{part}.training.safetensors"));
        let mut trainer = builder.device(&self.device).checkpoint(&file).stop(told_to_stop()).progress().build()?;
        if self.resume && file.exists() {
            trainer.resume(&file)?;
        }
        let history = trainer.fit(train, test)?;
        if history.interrupted {
            self.stopped(&file.display().to_string());
        }
        Ok((trainer, history))
    }

    /// Says how to go on, and ends the program.
    pub fn stopped(&self, file: &str) -> ! {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--resume").collect();
        let arguments = arguments.iter().map(|argument| format!(" {argument}")).collect::<String>();
        say!("stopped; {file} holds the training. It goes on with");
        say!("cargo run --release --example {} --{arguments} --resume", self.name);
        exit(130)
    }
}

/// Becomes true with Ctrl-C; a second one ends the program at once.
pub fn told_to_stop() -> Arc<AtomicBool> {
    static TOLD: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let told = TOLD.get_or_init(|| {
        let told = Arc::new(AtomicBool::new(false));
        let handler = Arc::clone(&told);
        let set = ctrlc::set_handler(move || {
            if handler.swap(true, Ordering::Relaxed) {
                exit(130);
            }
        });
        if let Err(error) = set {
            let _ = writeln!(std::io::stderr(), "Ctrl-C will end this training without a file: {error}");
        }
        told
    });
    Arc::clone(told)
}
