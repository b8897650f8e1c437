//! What is computed: functions and ops, derivatives, optimisers, flows.

mod attention;
mod bijections;
mod conv;
mod custom;
mod extension_optimisers;
mod flows;
mod formula;
mod functions;
mod gradcheck;
mod joints;
mod matching;
mod nested;
mod norms;
mod optimisers;
mod varying;
mod vision;
