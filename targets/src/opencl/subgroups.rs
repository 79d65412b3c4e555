//! Subgroup operations, by `cl_khr_subgroups` and its companions.

use naga::{CollectiveOperation, Direction, Expression, GatherMode, Handle, ScalarKind, SubgroupOperation};

use super::Error;
use super::function::FunctionWriter;
use super::places::lane;
use super::text::{Precedence, Text};

const SUBGROUPS: &str = "cl_khr_subgroups";
const BALLOT: &str = "cl_khr_subgroup_ballot";
const SHUFFLE: &str = "cl_khr_subgroup_shuffle";
const SHUFFLE_RELATIVE: &str = "cl_khr_subgroup_shuffle_relative";
const NON_UNIFORM: &str = "cl_khr_subgroup_non_uniform_arithmetic";

impl FunctionWriter<'_, '_> {
    fn need_subgroups(&mut self, operation: &'static str, extension: &'static str) -> Result<(), Error> {
        if !self.out.options.subgroups {
            return Err(Error::NeedsSubgroups { operation });
        }
        self.out.extensions.extend([SUBGROUPS, extension]);
        Ok(())
    }

    pub(super) fn subgroup_builtin(&mut self, name: &'static str, call: &str) -> Result<String, Error> {
        self.need_subgroups(name, SUBGROUPS)?;
        Ok(call.to_owned())
    }

    pub(super) fn subgroup_barrier(&mut self) -> Result<(), Error> {
        self.need_subgroups("subgroupBarrier", SUBGROUPS)?;
        self.line("sub_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);");
        Ok(())
    }

    pub(super) fn subgroup_ballot(
        &mut self,
        result: Handle<Expression>,
        predicate: Option<Handle<Expression>>,
    ) -> Result<(), Error> {
        self.need_subgroups("subgroupBallot", BALLOT)?;
        let predicate = match predicate {
            Some(predicate) => self.value(predicate)?,
            None => Text::primary("1"),
        };
        self.bind_result(result, &Text::call("sub_group_ballot", &[predicate]), "ballot")
    }

    pub(super) fn subgroup_collective(
        &mut self,
        op: SubgroupOperation,
        collective: CollectiveOperation,
        argument: Handle<Expression>,
        result: Handle<Expression>,
    ) -> Result<(), Error> {
        let value = self.value(argument)?;
        let (operation, name) = match op {
            SubgroupOperation::All | SubgroupOperation::Any => {
                self.need_subgroups("subgroupAll or subgroupAny", SUBGROUPS)?;
                let is_all = op == SubgroupOperation::All;
                let (function, name) = if is_all { ("all", "all_lanes") } else { ("any", "any_lane") };
                return self.bind_result(
                    result,
                    &Text::call(&format!("sub_group_{function}"), &[value]),
                    name,
                );
            }
            SubgroupOperation::Add => ("add", "lanes_sum"),
            SubgroupOperation::Min => ("min", "lanes_min"),
            SubgroupOperation::Max => ("max", "lanes_max"),
            SubgroupOperation::Mul => ("mul", "lanes_product"),
            SubgroupOperation::And => ("and", "lanes_and"),
            SubgroupOperation::Or => ("or", "lanes_or"),
            SubgroupOperation::Xor => ("xor", "lanes_xor"),
        };
        let basic = matches!(op, SubgroupOperation::Add | SubgroupOperation::Min | SubgroupOperation::Max);
        self.need_subgroups("subgroup arithmetic", if basic { SUBGROUPS } else { NON_UNIFORM })?;
        let scope = if basic { "sub_group" } else { "sub_group_non_uniform" };
        let reach = match collective {
            CollectiveOperation::Reduce => "reduce",
            CollectiveOperation::InclusiveScan => "scan_inclusive",
            CollectiveOperation::ExclusiveScan => "scan_exclusive",
        };
        let value = self.by_lanes(argument, &value, |lane| {
            Text::call(&format!("{scope}_{reach}_{operation}"), std::slice::from_ref(lane))
        })?;
        self.bind_result(result, &value, name)
    }

    pub(super) fn subgroup_gather(
        &mut self,
        mode: GatherMode,
        argument: Handle<Expression>,
        result: Handle<Expression>,
    ) -> Result<(), Error> {
        let value = self.value(argument)?;
        let own = "get_sub_group_local_id()";
        let (extension, function, index) = match mode {
            GatherMode::BroadcastFirst => (BALLOT, "sub_group_broadcast_first", None),
            GatherMode::Broadcast(index) => (SUBGROUPS, "sub_group_broadcast", Some(self.value(index)?)),
            GatherMode::Shuffle(index) => (SHUFFLE, "sub_group_shuffle", Some(self.value(index)?)),
            GatherMode::ShuffleXor(mask) => (SHUFFLE, "sub_group_shuffle_xor", Some(self.value(mask)?)),
            GatherMode::ShuffleDown(by) => {
                (SHUFFLE_RELATIVE, "sub_group_shuffle_down", Some(self.value(by)?))
            }
            GatherMode::ShuffleUp(by) => (SHUFFLE_RELATIVE, "sub_group_shuffle_up", Some(self.value(by)?)),
            GatherMode::QuadBroadcast(index) => {
                let index = self.value(index)?.at_least(Precedence::Unary);
                (SHUFFLE, "sub_group_shuffle", Some(Text::primary(format!("({own} & ~3u) | {index}"))))
            }
            GatherMode::QuadSwap(direction) => {
                let mask = match direction {
                    Direction::X => "1u",
                    Direction::Y => "2u",
                    Direction::Diagonal => "3u",
                };
                (SHUFFLE, "sub_group_shuffle_xor", Some(Text::primary(mask)))
            }
        };
        self.need_subgroups("subgroup broadcast or shuffle", extension)?;
        let value = self.by_lanes(argument, &value, |lane| {
            let arguments: Vec<_> = std::iter::once(lane.clone()).chain(index.clone()).collect();
            Text::call(function, &arguments)
        })?;
        self.bind_result(result, &value, "gathered")
    }

    /// Applies a function of scalars to each lane: the extensions take no vectors.
    fn by_lanes(
        &self,
        argument: Handle<Expression>,
        value: &Text,
        apply: impl Fn(&Text) -> Text,
    ) -> Result<Text, Error> {
        let Some(size) = self.size_of(argument) else { return Ok(apply(value)) };
        let scalar = self.scalar_of(argument);
        if scalar.kind == ScalarKind::Bool {
            return Err(Error::Unsupported { construct: "a subgroup operation on a vector of bools" });
        }
        let lanes: Vec<_> =
            (0..size as u32).map(|index| apply(&value.postfix(&format!(".{}", lane(index)))).code).collect();
        Ok(Text::unary(format!("({})({})", self.c_type(Some(size), scalar)?, lanes.join(", "))))
    }
}
