//! Axes that are there at some points only: which axis hangs on which, and how a grid runs through the branches.
//!
//! Each axis hangs on at most one earlier axis, so the axes are a forest. A tree of it is one digit of a point's index,
//! with as many values as the tree has points: the sum, over the values of its root, of the product of the trees that
//! hang there. So a point's place on any axis is found from its index by going down from the root, and nothing is kept
//! for each point. Without conditions every tree is a single axis and the digits are those of a plain grid.

use tumble_domain::{AxisValues, Sweep, Value};

use super::DesignError;

/// The most values of an axis that others hang on: where each of them begins is kept.
pub const DECIDING_VALUES_MAX: u64 = 1 << 16;

/// The axes of a sweep as a forest.
#[derive(Clone, Debug)]
pub(super) struct Branches {
    nodes: Vec<Node>,
    /// Points of the whole grid; the largest number where they are too many to count.
    points: u128,
}

#[derive(Clone, Debug)]
struct Node {
    hangs: Option<Hook>,
    /// The axes that hang on this one, by rising index.
    children: Vec<usize>,
    /// Points of the tree under this axis.
    size: u128,
    /// At which point of the tree each value begins; empty for an axis that nothing hangs on, whose values have one each.
    starts: Vec<u128>,
    /// Of an axis that hangs on none: how many points in a row share a place in its tree.
    stride: u128,
}

/// Where an axis hangs.
#[derive(Clone, Debug)]
struct Hook {
    on: usize,
    /// The steps of that axis at which this one is there, rising.
    steps: Vec<u64>,
}

impl Branches {
    /// The forest of a sweep. An interval that does not say how many values it has counts as none.
    pub(super) fn try_new(sweep: &Sweep) -> Result<Branches, DesignError> {
        let steps: Vec<u64> = sweep.axes.iter().map(|axis| axis.values.len().unwrap_or(0)).collect();
        let bare = |steps: &u64| Node {
            hangs: None,
            children: Vec::new(),
            size: u128::from(*steps),
            starts: Vec::new(),
            stride: 1,
        };
        let mut nodes: Vec<Node> = steps.iter().map(bare).collect();
        for condition in &sweep.conditions {
            let hook = hook(sweep, condition.axis, condition.on, &condition.values)?;
            if nodes[condition.axis].hangs.is_some() {
                return Err(refused(sweep, condition.axis, "it has two conditions"));
            }
            nodes[condition.axis].hangs = Some(hook);
        }
        for axis in 0..nodes.len() {
            if let Some(hook) = &nodes[axis].hangs {
                let on = hook.on;
                nodes[on].children.push(axis);
            }
        }
        // What hangs on an axis stands behind it, so going backwards every tree is whole before it is counted.
        for axis in (0..nodes.len()).rev().filter(|axis| !nodes[*axis].children.is_empty()).collect::<Vec<_>>() {
            let mut starts = Vec::with_capacity(steps[axis] as usize + 1);
            let mut size = 0u128;
            for step in 0..steps[axis] {
                starts.push(size);
                let trees = hanging(&nodes, axis, step).fold(1u128, |n, child| n.saturating_mul(nodes[child].size));
                size = size.saturating_add(trees);
            }
            (nodes[axis].starts, nodes[axis].size) = (starts, size);
        }
        let mut points = 1u128;
        for axis in (0..nodes.len()).rev().filter(|axis| nodes[*axis].hangs.is_none()).collect::<Vec<_>>() {
            nodes[axis].stride = points;
            points = points.saturating_mul(nodes[axis].size);
        }
        Ok(Branches { nodes, points })
    }

    /// Points of the grid; the largest number for more than that.
    pub(super) fn points(&self) -> u128 {
        self.points
    }

    /// The first axis with which there are more points than 64 bits number, if there is one.
    pub(super) fn overflow(&self) -> Option<usize> {
        let mut points = 1u128;
        (0..self.nodes.len()).filter(|axis| self.nodes[*axis].hangs.is_none()).find(|axis| {
            points = points.saturating_mul(self.nodes[*axis].size);
            points > u128::from(u64::MAX)
        })
    }

    /// The step of a point of the grid on an axis; `None` where the axis is not there.
    pub(super) fn step(&self, point: u64, axis: usize) -> Option<u64> {
        let within = self.within(point, axis)?;
        Some(self.step_of(axis, within))
    }

    /// How many points of the grid have each value of an axis that others hang on and that hangs on none itself.
    pub(super) fn shares(&self, axis: usize) -> Option<Vec<u128>> {
        let node = &self.nodes[axis];
        if node.children.is_empty() || node.hangs.is_some() || node.size == 0 {
            return None;
        }
        let others = self.points / node.size;
        let ends = node.starts.iter().skip(1).chain([&node.size]);
        Some(node.starts.iter().zip(ends).map(|(start, end)| (end - start).saturating_mul(others)).collect())
    }

    /// Which point of the tree under an axis a point of the grid is.
    fn within(&self, point: u64, axis: usize) -> Option<u128> {
        let node = &self.nodes[axis];
        let Some(hook) = &node.hangs else { return Some(u128::from(point) / node.stride % node.size) };
        let place = self.within(point, hook.on)?;
        let step = self.step_of(hook.on, place);
        hook.steps.binary_search(&step).ok()?;
        let rest = place - self.nodes[hook.on].starts[step as usize];
        let behind = hanging(&self.nodes, hook.on, step).filter(|sibling| *sibling > axis);
        let stride: u128 = behind.map(|sibling| self.nodes[sibling].size).product();
        Some(rest / stride % node.size)
    }

    fn step_of(&self, axis: usize, within: u128) -> u64 {
        match &self.nodes[axis].starts {
            starts if starts.is_empty() => within as u64,
            // Every value has a point at least, so no two begin at the same.
            starts => starts.partition_point(|start| *start <= within) as u64 - 1,
        }
    }
}

/// The axes that hang on `axis` where it is at `step`.
fn hanging(nodes: &[Node], axis: usize, step: u64) -> impl Iterator<Item = usize> + '_ {
    let hangs = move |child: &usize| nodes[*child].hangs.as_ref().is_some_and(|h| h.steps.binary_search(&step).is_ok());
    nodes[axis].children.iter().copied().filter(hangs)
}

fn hook(sweep: &Sweep, axis: usize, on: usize, values: &[Value]) -> Result<Hook, DesignError> {
    if on >= axis || axis >= sweep.axes.len() {
        return Err(refused(sweep, axis, "the axis it hangs on must stand before it"));
    }
    let deciding = &sweep.axes[on];
    if deciding.values.len().is_none_or(|values| values > DECIDING_VALUES_MAX) {
        let why = format!("`{}` has more than {DECIDING_VALUES_MAX} values", deciding.name);
        return Err(refused(sweep, axis, &why));
    }
    let mut steps = Vec::new();
    for value in values {
        let found = steps_of(&deciding.values, value);
        if found.is_empty() {
            return Err(refused(sweep, axis, &format!("`{}` never is {value}", deciding.name)));
        }
        steps.extend(found);
    }
    steps.sort_unstable();
    steps.dedup();
    if steps.is_empty() {
        return Err(refused(sweep, axis, "its condition has no values"));
    }
    Ok(Hook { on, steps })
}

fn refused(sweep: &Sweep, axis: usize, why: &str) -> DesignError {
    let axis = sweep.axes.get(axis).map_or_else(|| format!("number {axis}"), |axis| axis.name.clone());
    DesignError::Condition { axis, why: why.to_owned() }
}

/// The steps at which an axis of listed values or integers has this value.
fn steps_of(values: &AxisValues, value: &Value) -> Vec<u64> {
    match (values, value) {
        (AxisValues::List(values), value) => {
            values.iter().zip(0..).filter(|(known, _)| *known == value).map(|(_, step)| step).collect()
        }
        (AxisValues::Integers { from, to }, Value::Integer(i)) if from <= i && i <= to => vec![i.abs_diff(*from)],
        _ => Vec::new(),
    }
}
