//! Stable Diffusion 1.x from one bundle: text encoder, UNet and VAE decoder as three entries in the same memory.
//!
//! The bundle is made from the usual ONNX export, a folder per model:
//!
//! ```text
//! driftc text_encoder=DIR/text_encoder/model.onnx unet=DIR/unet/model.onnx vae_decoder=DIR/vae_decoder/model.onnx \
//!     --dim batch=1 --dim unet.batch=2 --dim sequence=77 --dim height=64 --dim width=64 \
//!     --precision f16 --target vulkan -o diffusion.drift
//! cargo run --release --package drift-runtime --example stable_diffusion -- diffusion.drift \
//!     --prompt "a lighthouse in a storm" --output lighthouse.png
//! ```
//!
//! A UNet of batch 2 computes both branches of classifier-free guidance at once, one of batch 1 runs twice a step.
//! `--trace FOLDER` keeps every intermediate result for `compare.py`, which runs the same loop in onnxruntime.

mod guidance;
mod picture;
mod scheduler;
mod text;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use drift_runtime::{Bundle, Device, DeviceKind, LoadOptions, OpenOptions, Session};
use guidance::Guided;
use indicatif::{ProgressBar, ProgressStyle};
use scheduler::{Ddim, Plms, Schedule, Scheduler};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Draws a picture with Stable Diffusion 1.x
#[derive(Parser)]
struct Args {
    /// A bundle with the entries text_encoder, unet and vae_decoder
    bundle: PathBuf,
    /// What to draw
    #[arg(long, default_value = "")]
    prompt: String,
    /// What to avoid
    #[arg(long, default_value = "")]
    negative: String,
    /// The tokenizer's merges.txt [default: that of CLIP, which Stable Diffusion 1.x uses]
    #[arg(long, value_name = "FILE")]
    merges: Option<PathBuf>,
    /// Steps of the loop
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    steps: u32,
    /// How the loop goes from noise to picture
    #[arg(long, value_enum, default_value_t = SchedulerArg::Pndm)]
    scheduler: SchedulerArg,
    /// Weight of the prompt against the negative prompt; 1 leaves the latter out
    #[arg(long, default_value_t = 7.5)]
    guidance: f32,
    /// Start of the random numbers: the same seed gives the same picture
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Factor between latents and what the VAE decoder takes
    #[arg(long, default_value_t = 0.18215)]
    scale: f32,
    /// Picture to write
    #[arg(short, long, value_name = "FILE.png", default_value = "picture.png")]
    output: PathBuf,
    /// Device to replay on: its number or a part of its name
    #[arg(long, value_name = "D")]
    device: Option<String>,
    /// Keep compiled pipelines there between runs
    #[arg(long, value_name = "DIR")]
    pipeline_cache: Option<PathBuf>,
    /// Write tokens, embeddings, each step's noise and latents, and the picture there as raw f32
    #[arg(long, value_name = "DIR")]
    trace: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchedulerArg {
    /// Deterministic DDIM (arXiv 2010.02502)
    Ddim,
    /// Pseudo linear multi-step, PNDM without its warm-up (arXiv 2202.09778)
    Pndm,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let trace = Trace::new(args.trace.as_deref())?;
    let bundle = Bundle::open(&args.bundle)?;
    let device = Device::open_with(
        DeviceKind::Vulkan,
        &OpenOptions { device: args.device.clone(), ..OpenOptions::default() },
    )?;
    let started = Instant::now();
    let options = LoadOptions { cache_dir: args.pipeline_cache.clone(), ..LoadOptions::default() };
    let sessions = device.load_entries(&bundle, &["text_encoder", "unet", "vae_decoder"], &options)?;
    let [mut text_encoder, unet, mut vae] =
        <[Session; 3]>::try_from(sessions).unwrap_or_else(|_| unreachable!("three entries"));
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{msg:<12} {bar:30} {pos}/{len} {elapsed_precise}")?);
    let mut out = std::io::stdout();
    let loaded = format!("{}: loaded in {:.2?}", device.info().name, started.elapsed());
    bar.suspend(|| writeln!(out, "{loaded}"))?;

    bar.set_message("reading");
    let tokenizer = text::Tokenizer::new(args.merges.as_deref())?;
    let mut embed = |name: &str, prompt: &str| -> Result<Vec<f32>> {
        let tokens = tokenizer.encode(prompt, tokens_of(&text_encoder)?);
        trace.write(&format!("tokens_{name}"), &tokens.iter().map(|&t| t as f32).collect::<Vec<_>>())?;
        let hidden = text::embed(&mut text_encoder, &tokens)?;
        trace.write(&format!("hidden_{name}"), &hidden)?;
        Ok(hidden)
    };
    let (negative, positive) = (embed("negative", &args.negative)?, embed("positive", &args.prompt)?);

    let schedule = Schedule::stable_diffusion();
    let mut scheduler: Box<dyn Scheduler> = match args.scheduler {
        SchedulerArg::Ddim => Box::new(Ddim::new(schedule, args.steps)),
        SchedulerArg::Pndm => Box::new(Plms::new(schedule, args.steps)),
    };
    let mut guided = Guided::new(unet, negative, positive, args.guidance)?;
    let mut latents = guidance::normal(args.seed, guided.latent_elements());
    trace.write("latents_00", &latents)?;
    let timesteps = scheduler.timesteps().to_vec();
    bar.set_length(timesteps.len() as u64);
    bar.set_message("drawing");
    let started = Instant::now();
    for (index, &timestep) in timesteps.iter().enumerate() {
        let noise = guided.noise(&latents, timestep)?;
        trace.write(&format!("noise_{:02}", index + 1), &noise)?;
        scheduler.step(&mut latents, &noise, timestep);
        trace.write(&format!("latents_{:02}", index + 1), &latents)?;
        bar.inc(1);
    }
    let took = started.elapsed();
    let (steps, each) = (timesteps.len(), took / timesteps.len() as u32);
    bar.suspend(|| writeln!(out, "{steps} evaluations in {took:.2?}, {each:.2?} each"))?;

    bar.set_message("decoding");
    let scaled: Vec<f32> = latents.iter().map(|latent| latent / args.scale).collect();
    let input = guidance::only(vae.inputs(), "input", "vae_decoder")?;
    guidance::write(&mut vae, &input, &scaled)?;
    vae.run()?;
    let output = guidance::only(vae.outputs(), "output", "vae_decoder")?;
    let pixels = guidance::read(&mut vae, &output)?;
    trace.write("picture", &pixels)?;
    bar.finish_and_clear();
    picture::write(&args.output, &pixels, &output.shape)
        .with_context(|| format!("cannot write {}", args.output.display()))
}

/// Tokens of a prompt, as the text encoder was compiled.
fn tokens_of(text_encoder: &Session) -> Result<usize> {
    let ids = guidance::named(text_encoder.inputs(), "input_ids")?;
    match ids.shape[..] {
        [1, tokens] => Ok(tokens as usize),
        _ => anyhow::bail!("`input_ids` has shape {:?}; compile the text encoder with batch 1", ids.shape),
    }
}

/// Where intermediate results go.
struct Trace(Option<PathBuf>);

impl Trace {
    fn new(folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(Self(folder.map(Path::to_owned)))
    }

    fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        ensure!(values.iter().all(|value| value.is_finite()), "{name} has values that are not finite");
        let Some(folder) = &self.0 else { return Ok(()) };
        let path = folder.join(name).with_extension("f32");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}
