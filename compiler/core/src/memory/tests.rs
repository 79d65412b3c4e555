//! Plans of known networks, and properties of random ones.

use super::*;

/// With the effort of a compilation.
fn plan(tensors: &[Tensor]) -> Result<Plan, MemoryError> {
    super::plan(tensors, Effort::COMPILE)
}

const MIB: f64 = (1_u64 << 20) as f64;

/// A small deterministic generator, so that a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Collects the results of a network: each is written by the next task and read by the tasks that follow.
#[derive(Default)]
struct Net {
    tensors: Vec<Tensor>,
}

impl Net {
    /// A task that reads `inputs` and writes `elements` f32 values.
    fn task(&mut self, inputs: &[usize], elements: u64) -> usize {
        let task = self.tensors.len();
        for &input in inputs {
            self.tensors[input].last = task;
        }
        self.tensors.push(Tensor {
            size_bytes: elements * 4,
            first: task,
            last: task,
            align: BINDING_ALIGN_BYTES,
        });
        task
    }
}

/// Results of MobileNet v1 1.0 224 at batch 1.
fn mobilenet_v1() -> Vec<Tensor> {
    let mut net = Net::default();
    let (mut side, mut channels) = (112_u64, 32);
    let mut x = net.task(&[], side * side * channels);
    let middle = [(512, 1); 5];
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
    for &(out, stride) in blocks.iter().chain(&middle).chain(&[(1024, 2), (1024, 1)]) {
        side = side.div_ceil(stride);
        x = net.task(&[x], side * side * channels);
        x = net.task(&[x], side * side * out);
        channels = out;
    }
    classifier(&mut net, x, channels);
    net.tensors
}

/// Results of MobileNet v2 1.0 224 at batch 1.
fn mobilenet_v2() -> Vec<Tensor> {
    let mut net = Net::default();
    let (mut side, mut channels) = (112_u64, 32);
    let mut x = net.task(&[], side * side * channels);
    // Expansion, output channels, repeats, first stride.
    for (expansion, out, repeats, first_stride) in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ] {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let input = x;
            if expansion > 1 {
                x = net.task(&[x], side * side * channels * expansion);
            }
            side = side.div_ceil(stride);
            x = net.task(&[x], side * side * channels * expansion);
            x = net.task(&[x], side * side * out);
            if stride == 1 && channels == out {
                x = net.task(&[x, input], side * side * out);
            }
            channels = out;
        }
    }
    x = net.task(&[x], side * side * 1280);
    classifier(&mut net, x, 1280);
    net.tensors
}

/// Global pooling, the fully connected layer and the softmax.
fn classifier(net: &mut Net, x: usize, channels: u64) {
    let pooled = net.task(&[x], channels);
    let logits = net.task(&[pooled], 1001);
    net.task(&[logits], 1001);
}

fn check_figures(tensors: &[Tensor], count: usize, naive_mib: f64, planned_mib: f64) {
    let plan = plan(tensors).unwrap();
    check(&plan, tensors).unwrap();
    assert_eq!(tensors.len(), count);
    assert_eq!(plan.strategy, Strategy::BySize);
    assert_eq!(plan.peak_bytes, plan.lower_bound_bytes);
    assert!((plan.naive_bytes as f64 / MIB - naive_mib).abs() < 5e-4, "{}", plan.naive_bytes);
    assert!((plan.peak_bytes as f64 / MIB - planned_mib).abs() < 5e-4, "{}", plan.peak_bytes);
}

#[test]
fn mobilenets_reach_their_lower_bound_by_size() {
    check_figures(&mobilenet_v1(), 30, 19.248, 4.594);
    check_figures(&mobilenet_v2(), 65, 26.313, 5.742);
}

fn tensor(size_bytes: u64, first: usize, last: usize) -> Tensor {
    Tensor { size_bytes, first, last, align: 1 }
}

#[test]
fn the_smallest_gap_that_fits_is_taken() {
    // The two big tensors leave a gap of 2 and one of 3; the tensor of 2 belongs into the first whatever the order.
    let tensors = [tensor(10, 0, 9), tensor(9, 0, 4), tensor(8, 5, 9), tensor(3, 0, 4), tensor(2, 5, 9)];
    let plan = plan(&tensors).unwrap();
    assert_eq!(plan.peak_bytes, 22);
    assert_eq!(plan.lower_bound_bytes, 22);
    assert_eq!(plan.offsets, [0, 10, 10, 19, 18]);
}

#[test]
fn offsets_are_aligned_and_empty_tensors_need_no_place() {
    let tensors = [
        Tensor { size_bytes: 4, first: 0, last: 1, align: 256 },
        Tensor { size_bytes: 0, first: 0, last: 1, align: 256 },
        Tensor { size_bytes: 300, first: 1, last: 2, align: 256 },
    ];
    let plan = plan(&tensors).unwrap();
    assert_eq!(plan.offsets, [512, 0, 0]);
    assert_eq!((plan.peak_bytes, plan.naive_bytes, plan.lower_bound_bytes), (516, 304, 516));
}

#[test]
fn no_tensors_need_no_memory() {
    assert_eq!(plan(&[]).unwrap().peak_bytes, 0);
    assert_eq!(shared_objects::<u8>(&[]).unwrap().objects.len(), 0);
}

#[test]
fn impossible_input_is_refused_by_name() {
    assert_eq!(
        plan(&[tensor(1, 3, 2)]).unwrap_err().to_string(),
        "tensor 0 is live from task 3 to task 2; a live range must not end before it begins"
    );
    assert_eq!(
        plan(&[Tensor { align: 3, ..tensor(1, 0, 0) }]),
        Err(MemoryError::BadAlign { tensor: 0, align: 3 })
    );
    assert_eq!(plan(&[tensor(u64::MAX / 2, 0, 0), tensor(u64::MAX / 2, 1, 1)]), Err(MemoryError::TooLarge));
}

#[test]
fn the_verifier_finds_each_kind_of_wrong_plan() {
    let tensors = [Tensor { align: 4, ..tensor(4, 0, 1) }, tensor(4, 1, 2)];
    let good = plan(&tensors).unwrap();
    let with = |offsets: &[u64]| Plan { offsets: offsets.to_vec(), ..good.clone() };
    assert_eq!(check(&good, &tensors), Ok(()));
    assert_eq!(check(&with(&[0, 3]), &tensors), Err(MemoryError::Overlap { a: 0, b: 1 }));
    assert_eq!(
        check(&with(&[2, 6]), &tensors),
        Err(MemoryError::Misaligned { tensor: 0, offset: 2, align: 4 })
    );
    assert_eq!(check(&with(&[0, 5]), &tensors), Err(MemoryError::OutOfArena { tensor: 1, peak_bytes: 8 }));
    assert_eq!(check(&with(&[0]), &tensors), Err(MemoryError::WrongLength { placed: 1, expected: 2 }));
}

fn random_tensors(seed: u64, count: u64, tasks: u64, sizes: u64, align: u64) -> Vec<Tensor> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| {
            let first = random.below(tasks) as usize;
            let last = (first + random.below(tasks / 2 + 1) as usize).min(tasks as usize - 1);
            Tensor { size_bytes: random.below(sizes), first, last, align }
        })
        .collect()
}

/// The best peak of all placement orders, each tensor at the lowest place that is free: exact for unaligned sizes,
/// because pushing every tensor of an optimal plan down, in offset order, never raises it.
fn brute_force(tensors: &[Tensor], placed: &mut Vec<(usize, u64)>, best: &mut u64) {
    let height = placed.iter().map(|&(i, offset)| offset + tensors[i].size_bytes).max().unwrap_or(0);
    if height >= *best {
        return;
    }
    if placed.len() == tensors.len() {
        *best = height;
        return;
    }
    for index in 0..tensors.len() {
        if placed.iter().any(|&(i, _)| i == index) {
            continue;
        }
        let offset = placed
            .iter()
            .filter(|&&(i, _)| tensors[i].meets(&tensors[index]))
            .map(|&(i, offset)| offset + tensors[i].size_bytes)
            .max()
            .unwrap_or(0);
        placed.push((index, offset));
        brute_force(tensors, placed, best);
        placed.pop();
    }
}

#[test]
fn small_random_plans_are_right_and_close_to_the_optimum() {
    let (mut planned, mut optimal) = (0, 0);
    for seed in 0..120 {
        let tensors = random_tensors(seed, 6, 6, 20, 1);
        let plan = plan(&tensors).unwrap();
        check(&plan, &tensors).unwrap();
        let mut best = u64::MAX;
        brute_force(&tensors, &mut Vec::new(), &mut best);
        assert!(plan.lower_bound_bytes <= best && best <= plan.peak_bytes, "seed {seed}");
        assert_eq!(plan.peak_bytes, best, "seed {seed}: {tensors:?}");
        planned += plan.peak_bytes;
        optimal += best;
    }
    assert_eq!(planned, optimal);
}

/// Orders by size look at every pair of these.
#[test]
fn thousands_that_live_at_once_are_placed_in_order_of_time() {
    let tensor = |at: usize| Tensor {
        size_bytes: BINDING_ALIGN_BYTES * (1 + at as u64 % 7),
        first: at,
        last: 6000 + at / 2,
        align: BINDING_ALIGN_BYTES,
    };
    let tensors: Vec<Tensor> = (0..6000).map(tensor).collect();
    let plan = super::plan(&tensors, Effort::COMPILE).unwrap();
    assert_eq!((plan.strategy, plan.peak_bytes), (Strategy::ByTime, plan.lower_bound_bytes));
    check(&plan, &tensors).unwrap();
}

#[test]
fn large_random_plans_are_right_and_the_same_every_time() {
    for (seed, count) in [(1, 40), (2, 300), (3, 3000)] {
        let tensors = random_tensors(seed, count, count, 1 << 20, BINDING_ALIGN_BYTES);
        let once = plan(&tensors).unwrap();
        check(&once, &tensors).unwrap();
        assert!(
            once.peak_bytes >= once.lower_bound_bytes && once.peak_bytes <= once.naive_bytes + count * 256
        );
        if count < 1000 {
            assert_eq!(once, plan(&tensors).unwrap());
        }
    }
}

fn texture(format: char, width_px: u64, height_px: u64, first: usize, last: usize) -> Texture<char> {
    Texture { format, extent_px: [width_px, height_px, 1], first, last }
}

#[test]
fn a_chain_of_textures_alternates_between_two_objects() {
    let textures: Vec<_> = (0..8).map(|at| texture('f', 16, 8, at, at + 1)).collect();
    let plan = shared_objects(&textures).unwrap();
    assert_eq!(plan.objects.len(), 2);
    assert_eq!(plan.object_of, [0, 1, 0, 1, 0, 1, 0, 1]);
}

#[test]
fn objects_grow_to_their_users_but_never_to_more_than_a_new_object_costs() {
    let grows = [texture('f', 10, 10, 0, 0), texture('f', 11, 8, 1, 1)];
    let plan = shared_objects(&grows).unwrap();
    assert_eq!(plan.objects, [Object { format: 'f', extent_px: [11, 10, 1] }]);
    let apart = [texture('f', 100, 1, 0, 0), texture('f', 1, 100, 1, 1)];
    assert_eq!(shared_objects(&apart).unwrap().objects.len(), 2);
}

#[test]
fn formats_do_not_mix() {
    let textures = [texture('f', 4, 4, 0, 0), texture('h', 4, 4, 1, 1), texture('h', 4, 4, 2, 2)];
    let plan = shared_objects(&textures).unwrap();
    assert_eq!(plan.object_of, [0, 1, 1]);
}

#[test]
fn the_object_verifier_finds_sharing_and_misfits() {
    let textures = [texture('f', 4, 4, 0, 1), texture('f', 4, 4, 1, 2)];
    let object = Object { format: 'f', extent_px: [4, 4, 1] };
    let shared = ObjectPlan { object_of: vec![0, 0], objects: vec![object] };
    assert_eq!(check_objects(&shared, &textures), Err(MemoryError::Overlap { a: 0, b: 1 }));
    let flat = ObjectPlan { objects: vec![Object { extent_px: [4, 3, 1], ..object }], ..shared };
    assert_eq!(check_objects(&flat, &textures), Err(MemoryError::WrongObject { texture: 0, object: 0 }));
}

/// The least total area over all assignments of textures to objects.
fn least_area(textures: &[Texture<char>], objects: &mut Vec<Vec<usize>>, next: usize, best: &mut u128) {
    if next == textures.len() {
        let total: u128 = objects
            .iter()
            .map(|users| {
                let most = |of: fn(&Texture<char>) -> u64| {
                    users.iter().map(|&i| of(&textures[i])).max().unwrap_or(0)
                };
                u128::from(most(|t| t.extent_px[0])) * u128::from(most(|t| t.extent_px[1]))
            })
            .sum();
        *best = total.min(*best);
        return;
    }
    for at in 0..=objects.len() {
        if at == objects.len() {
            objects.push(Vec::new());
        }
        let texture = &textures[next];
        if objects[at].iter().all(|&i| textures[i].last < texture.first || texture.last < textures[i].first) {
            objects[at].push(next);
            least_area(textures, objects, next + 1, best);
            objects[at].pop();
        }
        if objects[at].is_empty() {
            objects.pop();
            break;
        }
    }
}

#[test]
fn random_pools_are_right_and_close_to_the_least_area() {
    let (mut planned, mut least) = (0, 0);
    for seed in 0..150 {
        let mut random = Random(seed);
        let textures: Vec<_> = (0..7)
            .map(|_| {
                let first = random.below(8) as usize;
                let last = first + random.below(4) as usize;
                texture('f', 1 + random.below(8), 1 + random.below(8), first, last)
            })
            .collect();
        let plan = shared_objects(&textures).unwrap();
        check_objects(&plan, &textures).unwrap();
        let mut best = u128::MAX;
        least_area(&textures, &mut Vec::new(), 0, &mut best);
        assert!(plan.total_volume_px() >= best, "seed {seed}");
        planned += plan.total_volume_px();
        least += best;
    }
    assert!(planned * 100 <= least * 110, "{planned} planned, {least} possible");
}

#[test]
fn thousands_of_textures_are_pooled() {
    let mut random = Random(7);
    let textures: Vec<_> = (0..2000)
        .map(|at| {
            let format = if random.below(3) == 0 { 'h' } else { 'f' };
            texture(format, 1 + random.below(64), 1 + random.below(64), at, at + random.below(6) as usize)
        })
        .collect();
    check_objects(&shared_objects(&textures).unwrap(), &textures).unwrap();
}
