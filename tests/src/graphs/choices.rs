//! Where a generator gets its numbers: a seed, or a list of earlier choices. A shorter list with smaller numbers makes a
//! smaller graph, so what fails is shrunk by editing the list and generating again; every result is well formed.

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of one seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from 0 to 1.
    pub const fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Choices as they are made.
#[derive(Clone, Debug)]
pub struct Choices {
    made: Vec<u32>,
    at: usize,
    /// What follows those given; zeros where there is none.
    rest: Option<Random>,
}

impl Choices {
    /// Choices from a seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { made: Vec::new(), at: 0, rest: Some(Random::new(seed)) }
    }

    /// Given choices, then zeros: the simplest of everything.
    pub const fn replayed(made: Vec<u32>) -> Self {
        Self { made, at: 0, rest: None }
    }

    /// One of `count` ways; 0 is the simplest.
    pub fn pick(&mut self, count: usize) -> usize {
        let given = match (self.made.get(self.at), &mut self.rest) {
            (Some(&given), _) => given,
            (None, Some(random)) => {
                self.made.push((random.next() >> 40) as u32);
                self.made[self.at]
            }
            (None, None) => 0,
        };
        self.at += 1;
        given as usize % count.max(1)
    }

    /// One of some values; the first is the simplest.
    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.pick(values.len())]
    }

    /// True once in `count` times; false is simpler.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.pick(count) + 1 == count
    }

    /// The choices made so far.
    pub fn used(&self) -> &[u32] {
        &self.made[..self.at.min(self.made.len())]
    }
}
