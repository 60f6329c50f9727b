//! The axes of a sweep or of a search: what each one sets, and what it runs over.

use tumble_domain::{AxisTarget, AxisValues, Kind, Parameter, PipelineDescription, Value};
use tumble_search::StrategyDescription;
use tumble_search::strategies::POPULATION_MAX;

use crate::conditions;
use crate::problem::{At, Notes};
use crate::settings::checked;
use crate::tree::{Entry, Item, Node, Table};
use crate::typed::TypedAxis;
use crate::wording::{instead_of, number_list};

/// What axes may set in this run.
pub(crate) struct Sweepable<'a> {
    /// The pipeline, if it is known.
    pub(crate) pipeline: Option<&'a PipelineDescription>,
    /// The strategies of `[evolve]`; `None` without that section.
    pub(crate) strategies: Option<&'a [&'static StrategyDescription]>,
    /// Names of every strategy there is.
    pub(crate) strategy_names: &'a [&'a str],
    /// Whether those are all: with an unknown one among them, no setting is sure to be wrong.
    pub(crate) strategies_known: bool,
    /// Whether the design samples, so that an interval needs no `points` of its own; `None` for a design that is not
    /// known, which may do either.
    pub(crate) samples: Option<bool>,
    /// Whether a client gives the values.
    pub(crate) given: bool,
}

/// What an axis sets, and what may stand there.
pub(crate) struct Target {
    pub(crate) target: AxisTarget,
    pub(crate) parameter: Parameter,
}

/// The forms of an axis that is a section.
const FORMS: [&str; 4] = ["linear", "log", "integers", "values"];

/// Those of an axis whose values a client gives.
const FORMS_GIVEN: [&str; 2] = [ANY, "values"];

/// The form of an axis that has whatever is given.
const ANY: &str = "any";

/// What stands beside the form.
const BESIDE: [&str; 2] = ["points", "when"];

impl Sweepable<'_> {
    /// What the axis of this name sets, or `None` once the problem is noted.
    pub(crate) fn target(&self, axis: &TypedAxis<'_>, notes: &mut Notes<'_>) -> Option<Target> {
        if let Some(setting) = axis.name.strip_prefix("evolve.") {
            return self.evolve_target(axis, setting, notes);
        }
        let pipeline = self.pipeline?;
        if let Some(i) = pipeline.parameter_index(&axis.name) {
            let parameter = pipeline.parameters[i].clone();
            if parameter.kind == Kind::Integers {
                let message = format!("`{}` takes a list of integers, which cannot be an axis", axis.name);
                notes.report(&axis.at, &axis.path(), message, "set it in [config]");
                return None;
            }
            return Some(Target { target: AxisTarget::Parameter(i), parameter });
        }
        if let Some(target) = self.genome_target(axis, pipeline, notes) {
            return target;
        }
        let element = pipeline.genome.as_ref().map(|g| format!("{}0", g.name));
        let mut known: Vec<&str> = pipeline.parameters.iter().map(|p| p.name.as_str()).collect();
        known.extend(element.as_deref().filter(|_| self.strategies.is_none()));
        let settings = self.strategies.unwrap_or(&[]).iter().flat_map(|s| &s.parameters);
        let mut settings: Vec<String> = settings.map(|p| format!("evolve.{}", p.name)).collect();
        if self.strategies.is_some() {
            settings.extend(["population", "start", "strategy"].map(|name| format!("evolve.{name}")));
        }
        known.extend(settings.iter().map(String::as_str));
        let message = format!("axis `{}` names no parameter of `{}`", axis.name, pipeline.name);
        notes.report(&axis.at, &axis.path(), message, instead_of(&axis.name, &known));
        None
    }

    /// An element of the genome: `None` when the name is none, `Some(None)` when it may not be swept here.
    fn genome_target(
        &self,
        axis: &TypedAxis<'_>,
        pipeline: &PipelineDescription,
        notes: &mut Notes<'_>,
    ) -> Option<Option<Target>> {
        let genome = pipeline.genome.as_ref()?;
        let digits = axis.name.strip_prefix(&genome.name)?;
        let index: usize = digits.parse().ok()?;
        // One spelling for one element: `x00` and `x+1` are strangers.
        if digits != index.to_string() {
            return None;
        }
        if self.strategies.is_some() {
            let message = format!("[evolve] searches `{}`, so `{}` cannot be an axis", genome.name, axis.name);
            notes.report(&axis.at, &axis.path(), message, "remove the axis, or [evolve]");
            return Some(None);
        }
        let parameter = Parameter { bounds: genome.bounds, ..plain_parameter(&axis.name, Kind::Float) };
        Some(Some(Target { target: AxisTarget::Genome(index), parameter }))
    }

    fn evolve_target(&self, axis: &TypedAxis<'_>, setting: &str, notes: &mut Notes<'_>) -> Option<Target> {
        let Some(strategies) = self.strategies else {
            let message = format!("`{}` is an axis, but there is no [evolve]", axis.name);
            notes.report(&axis.at, &axis.path(), message, "add [evolve] with a strategy, or remove the axis");
            return None;
        };
        match setting {
            "population" => {
                let bounds = Some((1.0, f64::from(POPULATION_MAX)));
                let parameter = Parameter { bounds, ..plain_parameter(&axis.name, Kind::Integer) };
                return Some(Target { target: AxisTarget::Population, parameter });
            }
            "strategy" => {
                let choices = self.strategy_names.iter().map(|name| (*name).to_owned()).collect();
                let parameter = Parameter { choices, ..plain_parameter(&axis.name, Kind::Text) };
                return Some(Target { target: AxisTarget::Strategy, parameter });
            }
            "start" => {
                let parameter = plain_parameter(&axis.name, Kind::Float);
                return Some(Target { target: AxisTarget::Start, parameter });
            }
            "generations" | "trial_seeds" | "stop" => {
                let message = format!("`{}` cannot be an axis", axis.name);
                notes.report(&axis.at, &axis.path(), message, format!("set `{setting}` in [evolve]"));
                return None;
            }
            _ => {}
        }
        if !self.strategies_known {
            return None;
        }
        // A setting that is there for some strategies only is a setting of those.
        let strategies: Vec<&StrategyDescription> =
            strategies.iter().copied().filter(|s| conditions::is_there_for(axis, s.name)).collect();
        let found = strategies.iter().map(|s| s.parameters.iter().find(|p| p.name == setting));
        if let Some(stranger) = strategies.iter().find(|s| s.parameters.iter().all(|p| p.name != setting)) {
            let known: Vec<&str> = stranger.parameters.iter().map(|p| p.name.as_str()).collect();
            let message = format!("axis `{}` names no setting of `{}`", axis.name, stranger.name);
            notes.report(&axis.at, &axis.path(), message, instead_of(setting, &known));
            return None;
        }
        // With several strategies the first one's bounds count here; building each strategy checks the rest.
        let parameter = Parameter { name: axis.name.clone(), ..found.flatten().next()?.clone() };
        Some(Target { target: AxisTarget::StrategySetting(setting.to_owned()), parameter })
    }

    /// What the axis runs over, or `None` once the problem is noted.
    pub(crate) fn values(&self, axis: &TypedAxis<'_>, target: &Target, notes: &mut Notes<'_>) -> Option<AxisValues> {
        let parameter = &target.parameter;
        if parameter.kind == Kind::Integers {
            let message = format!("`{}` takes a list of integers, which cannot be an axis", axis.name);
            notes.report(&axis.at, &axis.path(), message, "set it in [evolve]");
            return None;
        }
        match &axis.node.item {
            Item::List(items) => list(axis, items, parameter, notes).map(AxisValues::List),
            Item::Table(table) => self.form(axis, table, parameter, notes),
            _ => checked(axis.node, parameter, &axis.path(), notes).map(|value| AxisValues::List(vec![value])),
        }
    }

    /// One of `linear`, `log` and `integers`.
    fn form(
        &self,
        axis: &TypedAxis<'_>,
        table: &Table,
        parameter: &Parameter,
        notes: &mut Notes<'_>,
    ) -> Option<AxisValues> {
        let (name, path) = (&axis.name, axis.path());
        let is_form = |name: &str| FORMS.contains(&name) || name == ANY;
        let mut forms = table.entries.iter().filter(|e| is_form(&e.name));
        let (form, second) = (forms.next(), forms.next());
        if let Some(stranger) = table.entries.iter().find(|e| !is_form(&e.name) && !BESIDE.contains(&e.name.as_str())) {
            let (what, known) = match form {
                Some(_) => ("key", &BESIDE[..]),
                None if self.given => ("axis form", &FORMS_GIVEN[..]),
                None => ("axis form", &FORMS[..]),
            };
            let message = format!("unknown {what} `{}` in axis `{name}`", stranger.name);
            notes.report(
                &stranger.at,
                &format!("{path}.{}", stranger.name),
                message,
                instead_of(&stranger.name, known),
            );
            return None;
        }
        let Some(form) = form else {
            let message = format!("axis `{name}` has no points");
            let fix = match self.given {
                true => "write `{ any = \"number\" }`, or a list of words",
                false => "write a list, or `{ linear = [0.0, 1.0], points = 5 }`",
            };
            notes.report(&axis.node.at, &path, message, fix);
            return None;
        };
        if let Some(second) = second {
            let message = format!("axis `{name}` has both `{}` and `{}`", form.name, second.name);
            notes.report(&second.at, &path, message, "remove one of the two");
            return None;
        }
        if form.name == "values" {
            if let Some(points) = table.get("points") {
                let message = format!("`points` does not go with `values` in axis `{name}`");
                notes.report(&points.at, &format!("{path}.points"), message, "remove it: every value is a point");
                return None;
            }
            return match &form.node.item {
                Item::List(items) => list(axis, items, parameter, notes).map(AxisValues::List),
                _ => checked(&form.node, parameter, &path, notes).map(|value| AxisValues::List(vec![value])),
            };
        }
        if form.name == ANY || self.given {
            return self.any(axis, table, form, parameter, notes);
        }
        let is_integers = form.name == "integers";
        let fits = match parameter.kind {
            Kind::Float => !is_integers,
            Kind::Integer => is_integers,
            _ => false,
        };
        if !fits {
            let message =
                format!("axis `{name}` takes {}, which `{}` does not give", plural(parameter.kind), form.name);
            let fix = match parameter.kind {
                Kind::Float => "write `{ linear = [lo, hi], points = n }` or a list",
                Kind::Integer => "write `{ integers = [lo, hi] }` or a list",
                _ => "write a list",
            };
            notes.report(&form.at, &path, message, fix);
            return None;
        }
        let points = match table.get("points") {
            None => None,
            Some(entry) if is_integers => {
                let message = format!("`points` does not go with `integers` in axis `{name}`");
                notes.report(&entry.at, &format!("{path}.points"), message, "remove it: every integer is a point");
                return None;
            }
            Some(entry) => {
                let parameter =
                    Parameter { bounds: Some((2.0, f64::INFINITY)), ..plain_parameter("points", Kind::Integer) };
                Some(checked(&entry.node, &parameter, &format!("{path}.points"), notes)?)
            }
        };
        let (from, to) = ends(axis, &form.name, &form.node, parameter, notes)?;
        if is_integers {
            return integers(axis, &form.node.at, from.as_i64()?, to.as_i64()?, notes);
        }
        let (from, to) = (from.as_f64()?, to.as_f64()?);
        if from > to {
            let message = format!("axis `{name}` runs backwards");
            notes.report(
                &form.node.at,
                &path,
                message,
                format!("write `{} = {}`", form.name, number_list(&[to, from])),
            );
            return None;
        }
        if from == to {
            let message = format!("both ends of axis `{name}` are the same");
            notes.report(
                &form.node.at,
                &path,
                message,
                format!("write `{name} = {}` for one value", Value::Float(from)),
            );
            return None;
        }
        if form.name == "log" && from <= 0.0 {
            let message = format!("axis `{name}` is logarithmic, but an end is not positive");
            notes.report(&form.node.at, &path, message, "write two positive ends, or `linear`");
            return None;
        }
        if self.samples == Some(false) && points.is_none() {
            let message = format!("axis `{name}` has no `points`");
            let fix = format!("write `{{ {} = {}, points = 5 }}`", form.name, number_list(&[from, to]));
            notes.report(&form.at, &path, message, fix);
            return None;
        }
        let points = points.and_then(|p| p.as_i64()).and_then(|p| u64::try_from(p).ok());
        Some(match form.name.as_str() {
            "log" => AxisValues::Log { from, to, points },
            _ => AxisValues::Linear { from, to, points },
        })
    }
}

impl Sweepable<'_> {
    /// An axis of whatever a client gives; or an interval, of which one that gives values knows nothing.
    fn any(
        &self,
        axis: &TypedAxis<'_>,
        table: &Table,
        form: &Entry,
        parameter: &Parameter,
        notes: &mut Notes<'_>,
    ) -> Option<AxisValues> {
        let (name, path) = (&axis.name, axis.path());
        let kinds = [Kind::Float, Kind::Integer];
        if !self.given {
            let message = format!("axis `{name}` has whatever is given, and nobody gives it anything");
            let fix = "write what it runs over, or `strategy = \"given\"` in [evolve]";
            notes.report(&form.at, &path, message, fix);
            return None;
        }
        let wanted = parameter.kind.name();
        let own = if kinds.contains(&parameter.kind) {
            format!("write `{{ any = \"{wanted}\" }}`")
        } else {
            "write a list of all that it may be".to_owned()
        };
        if form.name != ANY {
            let message = format!("axis `{name}` has an interval, but a client gives its values as they are");
            notes.report(&form.at, &path, message, own);
            return None;
        }
        if let Some(beside) = table.entries.iter().find(|entry| BESIDE.contains(&entry.name.as_str())) {
            let message = format!("`{}` does not go with `any` in axis `{name}`", beside.name);
            notes.report(&beside.at, &format!("{path}.{}", beside.name), message, "remove it");
            return None;
        }
        let found = match &form.node.item {
            Item::Text(word) => word.as_str(),
            item => item.kind_name(),
        };
        if !kinds.contains(&parameter.kind) || found != wanted {
            let message =
                format!("axis `{name}` takes {}, which `any = {found:?}` does not give", plural(parameter.kind));
            notes.report(&form.node.at, &path, message, own);
            return None;
        }
        Some(AxisValues::Any(parameter.kind))
    }
}

impl TypedAxis<'_> {
    /// The dotted path of the axis.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// The values of a list axis.
fn list(axis: &TypedAxis<'_>, items: &[Node], parameter: &Parameter, notes: &mut Notes<'_>) -> Option<Vec<Value>> {
    let Some(first) = items.first() else {
        let message = format!("axis `{}` has no points", axis.name);
        notes.report(&axis.node.at, &axis.path(), message, "write at least one value, or remove the axis");
        return None;
    };
    if let Some(other) = items.iter().find(|item| kind_of(item) != kind_of(first)) {
        let message = format!("axis `{}` mixes {} and {}", axis.name, kind_of(first), kind_of(other));
        notes.report(&other.at, &axis.path(), message, "write values of one kind");
        return None;
    }
    let values: Vec<Option<Value>> = items.iter().map(|item| checked(item, parameter, &axis.path(), notes)).collect();
    values.into_iter().collect()
}

/// The kind of a list's element; whole numbers go with the others.
fn kind_of(node: &Node) -> &'static str {
    match &node.item {
        Item::Integer(_) | Item::HugeInteger(_) => "number",
        item => item.kind_name(),
    }
}

/// The two ends of an interval.
fn ends(
    axis: &TypedAxis<'_>,
    form: &str,
    node: &Node,
    parameter: &Parameter,
    notes: &mut Notes<'_>,
) -> Option<(Value, Value)> {
    let found = match &node.item {
        Item::List(items) => match &items[..] {
            [from, to] => {
                let from = checked(from, parameter, &axis.path(), notes);
                let to = checked(to, parameter, &axis.path(), notes);
                return Some((from?, to?));
            }
            _ => format!("a list of {}", items.len()),
        },
        item => item.kind_name().to_owned(),
    };
    let message = format!("`{form}` of axis `{}` takes two ends, found {found}", axis.name);
    notes.report(&node.at, &axis.path(), message, format!("write `{form} = [lo, hi]`"));
    None
}

fn integers(axis: &TypedAxis<'_>, at: &At, from: i64, to: i64, notes: &mut Notes<'_>) -> Option<AxisValues> {
    if from > to {
        let message = format!("axis `{}` has no points: {from} is above {to}", axis.name);
        notes.report(at, &axis.path(), message, format!("write `integers = [{to}, {from}]`"));
        return None;
    }
    if to.checked_sub(from).is_none_or(|width| width == i64::MAX) {
        let message = format!("axis `{}` has more than 2^63 points", axis.name);
        notes.report(at, &axis.path(), message, "bring the ends closer together");
        return None;
    }
    Some(AxisValues::Integers { from, to })
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "numbers",
        Kind::Integer => "integers",
        Kind::Boolean => "true or false",
        Kind::Text => "text",
        Kind::Integers => "lists of integers",
    }
}

/// A parameter of ours that no pipeline and no strategy describes.
fn plain_parameter(name: &str, kind: Kind) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        unit: String::new(),
        default: None,
        bounds: None,
        choices: Vec::new(),
        summary: String::new(),
    }
}
