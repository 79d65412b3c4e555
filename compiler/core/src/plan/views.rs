//! Concatenations that move nothing: a part that fills a range of the result is written there by the step that makes it.
//!
//! The storage of such a part is within that of the result, so both are planned as one, in which each part has a live range of
//! its own. That is right where the part's bytes are those of its place in the result: equal layouts, and the joined axis
//! outermost in memory (slices of channels, or the outermost axis of a dense tensor).

use crate::kernel::{self, KernelCall, Slot};
use crate::memory::BINDING_ALIGN_BYTES;
use crate::physical::{LANES, Order, Size};

/// A call that concatenates.
pub(super) struct Concat<'a> {
    call: &'a KernelCall,
    join: &'a kernel::Join,
    pub(super) dst: &'a Slot,
    pub(super) parts: &'a [Slot],
}

impl<'a> Concat<'a> {
    /// A call that moves whole slices, or elements of another axis.
    pub(super) fn of(call: &'a KernelCall) -> Option<Self> {
        let join = call.join.as_ref().filter(|join| join.whole_slices)?;
        let (dst, slots) = call.slots.split_last()?;
        Some(Self { call, join, dst, parts: slots.get(..join.starts.len())? })
    }

    fn size_of(&self, slot: &Slot) -> Size {
        slot.extents().as_array()[self.join.along].clone()
    }

    /// Where a part's bytes begin in the result, if they are there as in the part.
    pub(super) fn place(&self, part: usize) -> Option<u64> {
        let slot = &self.parts[part];
        // Where a part begins is known, or it is copied there.
        let start = self.join.starts[part].as_known()?;
        let layouts_agree = (slot.layout.order, slot.layout.element, &slot.layout.axes)
            == (self.dst.layout.order, self.dst.layout.element, &self.dst.layout.axes);
        let plain =
            |slot: &Slot| !slot.layout.storage_type.is_texture() && slot.address == kernel::AddressMap::WHOLE;
        if !layouts_agree || !plain(slot) || !plain(self.dst) {
            return None;
        }
        let e = self.dst.extents().known().ok()?;
        let (size, all) = (self.size_of(slot).as_known()?, self.size_of(self.dst).as_known()?);
        let elements = match self.dst.layout.order {
            // Whole slices, the last of which may be padded at the end of the result.
            Order::Slices if self.join.along == 3 => {
                let whole =
                    start.is_multiple_of(LANES) && (size.is_multiple_of(LANES) || start + size == all);
                whole.then_some(start * e.pixels())?
            }
            Order::RowMajor => {
                let stride = self.dst.layout.axes.strides(&self.dst.known_shape().ok()?)[self.join.along];
                (stride * all == e.elements()).then_some(start * stride)?
            }
            Order::Slices | Order::TextureRows | Order::TextureLayers => return None,
        };
        let offset = elements * self.dst.layout.element.size_bytes();
        offset.is_multiple_of(BINDING_ALIGN_BYTES).then_some(offset)
    }

    /// The call for some neighbouring parts.
    pub(super) fn only(&self, parts: std::ops::Range<usize>) -> KernelCall {
        let unit = if self.join.along == 3 { LANES } else { 1 };
        let last = parts.end - 1;
        let first = self.join.starts[parts.start].div_floor(unit);
        let end = self.join.starts[last].plus(&self.size_of(&self.parts[last])).div_ceil(unit);
        let starts = self.join.starts[parts.clone()].to_vec();
        let join = kernel::Join { starts, count: end.minus(&first), first, ..self.join.clone() };
        let size = self.call.workgroup_size;
        let groups =
            join.sizes(self.dst).iter().product::<Size>().div_ceil(u64::from(size[0])).at_least(&Size::ONE);
        let [_, rows, layers] = self.call.grid();
        join.call(
            &self.parts[parts],
            self.dst.clone(),
            size,
            [groups.div_ceil(rows), rows.into(), layers.into()],
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::{self, LayoutChoice};
    use crate::plan::plan_memory;
    use crate::program::Program;
    use crate::{profile, select};

    fn planned(text: &str) -> (Program, u64, u64) {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let layouts = layout::assign(&graph, &profile::GENERIC, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, &profile::GENERIC, None).expect("kernels");
        let (program, plan) = plan_memory(program, profile::GENERIC.memory).expect("a plan");
        assert!(program.bound_twice().is_empty());
        (program, plan.report.planned_bytes, plan.report.lower_bound_bytes)
    }

    fn kernels(program: &Program) -> Vec<&str> {
        program.steps.iter().map(|step| step.call.kernel.name).collect()
    }

    const SKIP: &str = "%x: f32[1,4,8,8]\n@u: f32[8,4,1,1] = random(1)\n@v: f32[8,8,1,1] = random(2)\n\
        @w: f32[4,16,1,1] = random(3)\n%a = conv %x, @u\n%b = conv %a, @v\n%c = concat %b, %a {axis=1}\n%d = conv %c, @w\n\
        return %d";

    #[test]
    fn parts_are_written_where_the_whole_lies() {
        let (program, planned, lower_bound) = planned(SKIP);
        assert!(!kernels(&program).contains(&"concat"), "{:?}", kernels(&program));
        assert_eq!(planned, lower_bound);
        let within = |name: &str| {
            let storage = program.storages.iter().find(|storage| storage.name == name).expect("a storage");
            storage
                .within
                .map(|within| (program.storages[within.storage as usize].name.as_str(), within.offset_bytes))
        };
        assert_eq!((within("b"), within("a")), (Some(("c", 0)), Some(("c", 8 * 64 * 4))));
        let last = &program.steps[1];
        assert_eq!(last.origins.len(), 2, "the step stands for the concatenation too: {:?}", last.origins);
    }

    #[test]
    fn a_part_that_is_an_input_is_copied_alone() {
        let text = "%x: f32[1,8,8,8]\n@u: f32[8,8,1,1] = random(1)\n@w: f32[4,16,1,1] = random(2)\n%a = conv %x, @u\n\
            %c = concat %x, %a {axis=1}\n%d = conv %c, @w\nreturn %d";
        let (program, ..) = planned(text);
        let concat = program.steps.iter().find(|step| step.call.kernel.name == "concat").expect("a copy");
        assert_eq!((concat.bytes_read, concat.bytes_written), (8 * 64 * 4, 8 * 64 * 4));
    }

    #[test]
    fn a_part_that_begins_within_a_slice_or_a_binding_is_moved() {
        for channels in ["6", "12"] {
            // 6 channels end within a slice; 12 channels of 5 pixels are 240 bytes.
            let text = format!(
                "%x: f32[1,4,1,5]\n@u: f32[{channels},4,1,1] = random(1)\n@v: f32[8,4,1,1] = random(2)\n%a = conv %x, @u\n\
                 %b = conv %x, @v\n%c = concat %a, %b {{axis=1}}\n%d = exp %c\nreturn %d"
            );
            assert!(kernels(&planned(&text).0).contains(&"concat"), "{channels}");
        }
    }

    #[test]
    fn a_step_that_reads_a_part_and_the_whole_needs_both() {
        let text = SKIP
            .replace("%d = conv %c, @w", "%d = conv %c, @w2 epilogue(add %a)")
            .replace("@w: f32[4,16,1,1] = random(3)", "@w2: f32[8,16,1,1] = random(3)");
        assert!(kernels(&planned(&text).0).contains(&"concat"));
    }

    #[test]
    fn slices_are_ranges_of_their_source() {
        let text = "%x: f32[1,4,8,8]\n@u: f32[16,4,1,1] = random(1)\n@w: f32[3,8,1,1] = random(2)\n%a = conv %x, @u\n\
            %b = slice %a {axes=[1], starts=[4], counts=[8]}\n%c = conv %b, @w\nreturn %c";
        let (program, ..) = planned(text);
        assert_eq!(program.steps.len(), 2);
        let beside = "%x: f32[8,16]\n@u: f32[16,64] = random(1)\n%a = matmul %x, @u\n\
            %b = slice %a {axes=[0], starts=[4], counts=[1]}\n%d = mul %a, %b\nreturn %d";
        // A binding of its own would share bytes with that of its source; as a view it is read through the same one.
        let (program, ..) = planned(beside);
        assert_eq!(program.steps.len(), 2);
        assert!(program.steps[1].call.slots.iter().any(|slot| slot.address.view().is_some()));
    }

    /// Eight heads of 1024 x 1024 scores between products: all at once they are the peak.
    #[test]
    fn scores_in_blocks_take_less_memory() {
        let text = "%x: f32[1,1024,64]\n@w: f32[64,1280] = random(1)\n@v: f32[1280,64] = random(2)\n%p = matmul %x, @w\n\
            %q = reshape %p {shape=[1,1024,8,160]}\n%a = attention %q, %q, %q \
            {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]}\n%r = reshape %a {shape=[1,1024,1280]}\n\
            %y = matmul %r, @v\nreturn %y";
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let planned = |score_bytes: u64| {
            let profile = profile::Profile { score_bytes, ..profile::GENERIC.clone() };
            let layouts = layout::assign(&graph, &profile, LayoutChoice::Buffer, None).expect("layouts");
            let program = select::choose(&graph, &layouts, &profile, None).expect("kernels");
            let (program, plan) = plan_memory(program, profile.memory).expect("a plan");
            let largest = program.storages.iter().map(|storage| storage.kind.size_bytes()).max();
            (plan.report.planned_bytes, largest, program)
        };
        let all = 8 * 1024 * 1024 * 4;
        let (free, largest, program) = planned(u64::MAX);
        // Not even without a profile's limit: it would be four times what is live at any other node.
        assert!(largest.is_some_and(|largest| largest <= all / 4), "{largest:?}");
        let why = program.steps.iter().find(|step| step.why.contains("blocks")).map(|step| step.why.as_str());
        assert!(why.is_some_and(|why| why.contains("of 32768 KiB at a time")), "{why:?}");
        let (few, largest, _) = planned(1 << 20);
        assert!(largest.is_some_and(|largest| largest < 6 << 20) && few < free, "{largest:?} {few} {free}");
    }
}
