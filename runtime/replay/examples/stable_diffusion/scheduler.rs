//! From the noise that a UNet sees to the latents of the next step: DDIM and PLMS.

/// How noisy each of the training steps is.
pub(crate) struct Schedule {
    /// Share of the picture's variance that is left after each training step.
    alphas: Vec<f64>,
    /// First timestep of the loop.
    offset: u32,
}

impl Schedule {
    /// That of Stable Diffusion 1.x: betas from 0.00085 to 0.012, linear in their square roots, over 1000 steps.
    pub(crate) fn stable_diffusion() -> Self {
        const STEPS: usize = 1000;
        let (first, last) = (0.00085_f64.sqrt(), 0.012_f64.sqrt());
        let beta = |step: usize| (first + (last - first) * step as f64 / (STEPS - 1) as f64).powi(2);
        let alphas = (0..STEPS).scan(1.0, |alpha, step| {
            *alpha *= 1.0 - beta(step);
            Some(*alpha)
        });
        Self { alphas: alphas.collect(), offset: 1 }
    }

    /// Training steps between two steps of the loop.
    fn stride(&self, steps: u32) -> u32 {
        self.alphas.len() as u32 / steps
    }

    /// Timesteps in ascending order, evenly spaced from the offset.
    fn spaced(&self, steps: u32) -> Vec<u32> {
        (0..steps).map(|step| step * self.stride(steps) + self.offset).collect()
    }

    /// Before the first training step there is as much noise as after it.
    fn alpha(&self, timestep: i64) -> f64 {
        self.alphas[timestep.max(0) as usize]
    }
}

/// Goes from noise to picture.
pub(crate) trait Scheduler {
    /// The timesteps of the loop, noisiest first.
    fn timesteps(&self) -> &[u32];

    /// Replaces latents at `timestep` by those of the next one, given the noise in them.
    fn step(&mut self, latents: &mut [f32], noise: &[f32], timestep: u32);
}

/// Denoising diffusion implicit models without added noise (arXiv 2010.02502, equation 12 with sigma 0).
pub(crate) struct Ddim {
    schedule: Schedule,
    stride: u32,
    timesteps: Vec<u32>,
}

impl Ddim {
    pub(crate) fn new(schedule: Schedule, steps: u32) -> Self {
        let (stride, mut timesteps) = (schedule.stride(steps), schedule.spaced(steps));
        timesteps.reverse();
        Self { schedule, stride, timesteps }
    }
}

impl Scheduler for Ddim {
    fn timesteps(&self) -> &[u32] {
        &self.timesteps
    }

    fn step(&mut self, latents: &mut [f32], noise: &[f32], timestep: u32) {
        let now = self.schedule.alpha(i64::from(timestep));
        let next = self.schedule.alpha(i64::from(timestep) - i64::from(self.stride));
        for (latent, &noise) in latents.iter_mut().zip(noise) {
            let noise = f64::from(noise);
            let picture = (f64::from(*latent) - (1.0 - now).sqrt() * noise) / now.sqrt();
            *latent = (next.sqrt() * picture + (1.0 - next).sqrt() * noise) as f32;
        }
    }
}

/// Pseudo linear multi-step (arXiv 2202.09778, equations 9 and 11): the noise of up to four steps is combined. The second
/// timestep is visited twice instead of a Runge-Kutta warm-up.
pub(crate) struct Plms {
    schedule: Schedule,
    stride: u32,
    timesteps: Vec<u32>,
    /// Noise of the last steps, oldest first.
    history: Vec<Vec<f32>>,
    /// The latents before the first step, until the second visit.
    start: Option<Vec<f32>>,
    steps_done: usize,
}

impl Plms {
    pub(crate) fn new(schedule: Schedule, steps: u32) -> Self {
        let (stride, mut timesteps) = (schedule.stride(steps), schedule.spaced(steps));
        timesteps.insert(timesteps.len() - 1, timesteps[timesteps.len() - 2]);
        timesteps.reverse();
        Self { schedule, stride, timesteps, history: Vec::new(), start: None, steps_done: 0 }
    }

    /// The noise to go on with.
    fn combined(&self, noise: &[f32]) -> Vec<f32> {
        let weights: &[f64] = match (self.steps_done, self.history.len()) {
            // The second visit of a timestep: the mean of both noises.
            (1, _) => return self.history[0].iter().zip(noise).map(|(a, b)| (a + b) / 2.0).collect(),
            (_, 1) => &[1.0],
            (_, 2) => &[-0.5, 1.5],
            (_, 3) => &[5.0 / 12.0, -16.0 / 12.0, 23.0 / 12.0],
            _ => &[-9.0 / 24.0, 37.0 / 24.0, -59.0 / 24.0, 55.0 / 24.0],
        };
        let at = |index: usize| {
            let terms = self.history.iter().zip(weights);
            terms.map(|(noise, weight)| f64::from(noise[index]) * weight).sum::<f64>() as f32
        };
        (0..noise.len()).map(at).collect()
    }
}

impl Scheduler for Plms {
    fn timesteps(&self) -> &[u32] {
        &self.timesteps
    }

    fn step(&mut self, latents: &mut [f32], noise: &[f32], timestep: u32) {
        let stride = i64::from(self.stride);
        let (mut from, mut to) = (i64::from(timestep), i64::from(timestep) - stride);
        if self.steps_done == 1 {
            // Again from the start, with a better idea of the noise between.
            (from, to) = (from + stride, from);
            if let Some(start) = self.start.take() {
                latents.copy_from_slice(&start);
            }
        } else {
            self.history.push(noise.to_vec());
            if self.history.len() > 4 {
                self.history.remove(0);
            }
        }
        if self.steps_done == 0 {
            self.start = Some(latents.to_vec());
        }
        let combined = self.combined(noise);
        let (now, next) = (self.schedule.alpha(from), self.schedule.alpha(to));
        let scale = (next / now).sqrt();
        let divisor = now * (1.0 - next).sqrt() + (now * (1.0 - now) * next).sqrt();
        for (latent, noise) in latents.iter_mut().zip(combined) {
            *latent = (scale * f64::from(*latent) - (next - now) * f64::from(noise) / divisor) as f32;
        }
        self.steps_done += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The noise of a made-up model, so that the whole loop is a sequence of numbers.
    fn run(scheduler: &mut dyn Scheduler) -> Vec<f32> {
        let mut latents = vec![1.0, -0.5, 0.25];
        for timestep in scheduler.timesteps().to_vec() {
            let noise: Vec<f32> =
                latents.iter().map(|latent| 0.5 * latent + timestep as f32 / 2000.0).collect();
            scheduler.step(&mut latents, &noise, timestep);
        }
        latents
    }

    #[test]
    fn timesteps_go_from_noise_to_picture() {
        let ddim = Ddim::new(Schedule::stable_diffusion(), 5);
        assert_eq!(ddim.timesteps(), [801, 601, 401, 201, 1]);
        let plms = Plms::new(Schedule::stable_diffusion(), 5);
        assert_eq!(plms.timesteps(), [801, 601, 601, 401, 201, 1]);
    }

    #[test]
    fn the_true_noise_leads_ddim_to_the_true_picture() {
        // Latents made of a known picture and known noise, and a model that always sees that noise.
        let (picture, noise) = (0.3_f64, -1.2_f64);
        let schedule = Schedule::stable_diffusion();
        let alpha = schedule.alpha(951);
        let mut latents = [(alpha.sqrt() * picture + (1.0 - alpha).sqrt() * noise) as f32];
        let mut ddim = Ddim::new(schedule, 20);
        for timestep in ddim.timesteps().to_vec() {
            ddim.step(&mut latents, &[noise as f32], timestep);
        }
        let last = ddim.schedule.alpha(0);
        let expected = last.sqrt() * picture + (1.0 - last).sqrt() * noise;
        assert!((f64::from(latents[0]) - expected).abs() < 1e-4, "{} {expected}", latents[0]);
    }

    #[test]
    fn whole_loops_agree_with_an_independent_computation() {
        // From compare.py, whose schedulers are written on their own: `python3 compare.py --self-check`.
        let close = |got: Vec<f32>, expected: [f32; 3]| {
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-4, "{got} {expected}");
            }
        };
        close(run(&mut Ddim::new(Schedule::stable_diffusion(), 10)), DDIM);
        close(run(&mut Plms::new(Schedule::stable_diffusion(), 10)), PNDM);
    }

    const DDIM: [f32; 3] = [1.019_991_6, -2.359_130_7, -0.669_569_54];
    const PNDM: [f32; 3] = [1.093_666_7, -1.995_935_5, -0.451_134_4];
}
