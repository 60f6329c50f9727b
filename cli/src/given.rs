//! What `tumble pool` reads and writes: candidates and their outcomes, one JSON object a line.
//!
//! JSON has no NaN and no infinity: those are the texts "NaN", "Infinity" and "-Infinity", as in Protocol Buffers' JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use tumble_domain::nearest::nearest;
use tumble_domain::{OnFailure, Outcomes, RunSpec, Status, Value, fitness_of};
use tumble_runfile::Understood;
use tumble_search::Space;

/// What candidates of a run are made of, and what their outcomes are called.
pub(crate) struct Form {
    /// Numbers of a candidate.
    columns: usize,
    /// The axes that they are values of; `None` for the vectors of a genome.
    space: Option<Space>,
    /// The names of what is recorded of a trial: axes, then metrics.
    recorded: Vec<String>,
    objective: usize,
    spec: std::sync::Arc<RunSpec>,
}

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// Candidates, by rows.
    Evaluate {
        /// For which generation, if the line says so.
        generation: Option<u32>,
        /// By rows.
        points: Vec<f64>,
    },
    /// No more are given.
    Finish,
}

impl Form {
    /// The form of a run whose candidates are given; else what to do instead.
    pub(crate) fn of(understood: &Understood) -> Result<Form, String> {
        let spec = &understood.spec;
        if !spec.plan.is_given() {
            return Err(
                "the run proposes its own candidates; `tumble run` carries it out, and `strategy = \"given\"` in \
                        [evolve] takes them from a client"
                    .to_owned(),
            );
        }
        let axes = spec.plan.evolved_axes();
        let space = match axes.is_empty() {
            true => None,
            false => Some(Space::try_new(axes).map_err(|error| error.to_string())?),
        };
        let columns =
            space.as_ref().map_or_else(|| understood.inner.dimension(&spec.config) as usize, Space::dimension);
        let recorded: Vec<String> = understood.description.metrics.iter().map(|m| m.name.clone()).collect();
        let objective = understood.description.metric_index(&spec.objective.metric).unwrap_or(axes.len());
        Ok(Form { columns, space, recorded, objective, spec: std::sync::Arc::new(spec.clone()) })
    }

    /// The first line: which run this is, and what it takes and gives.
    pub(crate) fn greeting(&self, run: &str, folder: &str, generation: u32, given: bool) -> Json {
        let axes = self.space.as_ref().map(|space| space.names().collect::<Vec<_>>());
        json!({
            "run": run,
            "folder": folder,
            "generation": generation,
            "given": given,
            "columns": self.columns,
            "axes": axes,
            "population": self.population(),
            "replicates": self.spec.replicates,
            "objective": self.spec.objective.as_written(),
            "metrics": self.metrics(),
        })
    }

    fn population(&self) -> Option<u32> {
        match &self.spec.plan {
            tumble_domain::Plan::Evolve(evolve) => evolve.population,
            _ => None,
        }
    }

    fn axes(&self) -> usize {
        self.space.as_ref().map_or(0, Space::dimension)
    }

    fn metrics(&self) -> &[String] {
        &self.recorded[self.axes()..]
    }

    /// What a line asks for, or what is wrong with it.
    pub(crate) fn request(&self, line: &[u8]) -> Result<Request, String> {
        let request: Json = serde_json::from_slice(line).map_err(|error| {
            format!("the line is no JSON: {error}; write an object, as {{\"candidates\": [[0.5, 1.0]]}}")
        })?;
        let Json::Object(mut request) = request else {
            return Err("the line is no object; write one, as {\"candidates\": [[0.5, 1.0]]}".to_owned());
        };
        const KNOWN: [&str; 5] = ["candidates", "candidates_f64", "columns", "generation", "finish"];
        if let Some(stranger) = request.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let hint = nearest(stranger, KNOWN).map_or(String::new(), |meant| format!(": did you mean `{meant}`?"));
            return Err(format!("unknown key `{stranger}`{hint}"));
        }
        if let Some(finish) = request.remove("finish") {
            return match (finish, request.is_empty()) {
                (Json::Bool(true), true) => Ok(Request::Finish),
                _ => Err("to end the run the line is {\"finish\": true}".to_owned()),
            };
        }
        let generation = match request.remove("generation") {
            None => None,
            Some(number) => {
                let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
                Some(whole.ok_or_else(|| format!("`generation` is {number}, which is none"))?)
            }
        };
        let points = match (request.remove("candidates"), request.remove("candidates_f64"), request.remove("columns")) {
            (Some(Json::Array(candidates)), None, None) => self.of_json(&candidates)?,
            (None, Some(Json::String(text)), columns) => self.of_bytes(&text, columns.as_ref())?,
            (Some(_), None, None) => return Err("`candidates` is a list of candidates".to_owned()),
            (None, Some(_), _) => return Err("`candidates_f64` is text: numbers of 64 bits in base64".to_owned()),
            _ => return Err("the line has either `candidates`, or `candidates_f64` and `columns`".to_owned()),
        };
        Ok(Request::Evaluate { generation, points })
    }

    fn of_json(&self, candidates: &[Json]) -> Result<Vec<f64>, String> {
        if candidates.is_empty() {
            return Err("`candidates` is empty: give at least one".to_owned());
        }
        let mut points = Vec::with_capacity(candidates.len() * self.columns);
        for (index, candidate) in candidates.iter().enumerate() {
            let at = |why: String| format!("candidate {index}: {why}");
            match (candidate, &self.space) {
                (Json::Array(values), _) => {
                    if values.len() != self.columns {
                        return Err(at(format!("it has {} values, and {} are needed", values.len(), self.columns)));
                    }
                    for (position, value) in values.iter().enumerate() {
                        points.push(self.number(position, value).map_err(at)?);
                    }
                }
                (Json::Object(values), Some(space)) => self.of_object(space, values, &mut points).map_err(at)?,
                (Json::Object(_), None) => {
                    return Err(at(format!("it is a vector, a list of {} numbers", self.columns)));
                }
                (_, Some(_)) => return Err(at("it is an object with a value for each axis, or a list of them".into())),
                (_, None) => return Err(at(format!("it is a list of {} numbers", self.columns))),
            }
        }
        Ok(points)
    }

    fn of_object(&self, space: &Space, values: &Map<String, Json>, points: &mut Vec<f64>) -> Result<(), String> {
        if let Some(stranger) = values.keys().find(|key| !space.names().any(|name| name == **key)) {
            let names: Vec<&str> = space.names().collect();
            let hint = match nearest(stranger, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are `{}`", names.join("`, `")),
            };
            return Err(format!("`{stranger}` is no axis: {hint}"));
        }
        for (position, name) in space.names().enumerate() {
            let value = values.get(name).ok_or_else(|| format!("it has no value for axis `{name}`"))?;
            points.push(self.number(position, value)?);
        }
        Ok(())
    }

    /// One value of a candidate, as the number that stands for it.
    fn number(&self, position: usize, value: &Json) -> Result<f64, String> {
        let Some(space) = &self.space else {
            return value.as_f64().ok_or_else(|| format!("number {position} is {value}, which is none"));
        };
        let typed = match value {
            Json::Bool(b) => Value::Boolean(*b),
            Json::String(text) => Value::text(text),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::Integer(whole),
                (None, Some(x)) => Value::Float(x),
                (None, None) => return Err(format!("{number} is too large a number")),
            },
            other => {
                let name = space.names().nth(position).unwrap_or_default();
                return Err(format!("`{name}` is {other}, which no axis has"));
            }
        };
        space.coordinate(position, &typed)
    }

    /// Rows of numbers; of an axis of listed values each is the position of one.
    fn of_bytes(&self, text: &str, columns: Option<&Json>) -> Result<Vec<f64>, String> {
        if columns.and_then(Json::as_u64) != Some(self.columns as u64) {
            let given = columns.map_or("missing".to_owned(), Json::to_string);
            return Err(format!("`columns` is {given}, and a candidate has {} numbers", self.columns));
        }
        let bytes = STANDARD.decode(text).map_err(|error| format!("`candidates_f64` is no base64: {error}"))?;
        let (numbers, rest) = bytes.as_chunks::<8>();
        if numbers.is_empty() || !rest.is_empty() || !numbers.len().is_multiple_of(self.columns) {
            let bytes = bytes.len();
            return Err(format!("{bytes} bytes are no rows of {} numbers of 8 bytes", self.columns));
        }
        let mut points: Vec<f64> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let Some(space) = &self.space else { return Ok(points) };
        for (index, point) in points.chunks_exact_mut(self.columns).enumerate() {
            for (axis, number) in point.iter_mut().enumerate() {
                let value = space.read(axis, *number);
                if space.report_of(axis, &value).to_bits() != number.to_bits() && *number != 0.0 {
                    let name = space.names().nth(axis).unwrap_or_default();
                    return Err(format!(
                        "candidate {index}: `{name}` is {number:?}, and no value of it has that number"
                    ));
                }
                *number = space.coordinate(axis, &value).map_err(|why| format!("candidate {index}: {why}"))?;
            }
        }
        Ok(points)
    }

    /// The line that answers a generation.
    pub(crate) fn answer(&self, generation: u32, outcomes: &Outcomes) -> Json {
        let replicates = self.spec.replicates as usize;
        let candidates = outcomes.trials as usize / replicates;
        let rows = |cell: &dyn Fn(usize) -> Json| -> Vec<Json> {
            let row = |candidate| (candidate * replicates..(candidate + 1) * replicates).map(cell).collect();
            (0..candidates).map(row).collect()
        };
        let value = |candidate: usize| {
            let tally = (candidate * replicates..(candidate + 1) * replicates)
                .map(|trial| (outcomes.status(trial) == Status::Scored).then(|| outcomes.value(self.objective, trial)));
            let direction = self.spec.objective.direction;
            // What a failed one counts as is its client's to say.
            let fitness = fitness_of(tally, direction, OnFailure::Worst).ok();
            number(fitness.and_then(|f| f.score()).map_or(f64::NAN, |score| direction.turn(score)))
        };
        let metrics: Map<String, Json> = self
            .recorded
            .iter()
            .enumerate()
            .skip(self.axes())
            .map(|(metric, name)| (name.clone(), rows(&|trial| number(outcomes.value(metric, trial))).into()))
            .collect();
        let errors: Vec<Json> = outcomes
            .errors
            .iter()
            .map(|error| {
                let (candidate, replicate) = (error.offset as usize / replicates, error.offset as usize % replicates);
                json!({ "candidate": candidate, "replicate": replicate, "error": error.message })
            })
            .collect();
        json!({
            "generation": generation,
            "values": (0..candidates).map(value).collect::<Vec<_>>(),
            "metrics": metrics,
            "outcomes": rows(&|trial| outcomes.status(trial).name().into()),
            "errors": errors,
        })
    }
}

/// A number, or the text of one that JSON does not have.
fn number(x: f64) -> Json {
    match x {
        x if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        x => json!(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::TrialError;

    fn form(evolve: &str) -> Form {
        let text = format!(
            "pipeline = \"program\"\nreplicates = 2\nobjective = \"-cost\"\n[program]\ncommand = [\"true\"]\n\
             metrics = [\"height\", \"cost\"]\n[evolve]\nstrategy = \"given\"\n[evolve.axes]\n{evolve}"
        );
        let read = tumble_runfile::parse(&text, "run.toml", &[], &tumble_runfile::open_pipelines());
        Form::of(&read.unwrap_or_else(|problems| panic!("{problems}"))).unwrap()
    }

    fn mixed() -> Form {
        form(
            "load = { any = \"number\" }\nunits = { any = \"integer\" }\nrule = [\"hebb\", \"delta\", \"oja\"]\nfast = [false, true]",
        )
    }

    fn vectors() -> Form {
        let text = "pipeline = \"benchmark-functions\"\n[config]\ndimension = 3\n[evolve]\nstrategy = \"given\"\n";
        let known = crate::own::Known::of(None).unwrap();
        Form::of(&tumble_runfile::parse(text, "run.toml", &[], known.descriptions()).unwrap()).unwrap()
    }

    fn points(form: &Form, line: &str) -> Vec<f64> {
        match form.request(line.as_bytes()) {
            Ok(Request::Evaluate { points, .. }) => points,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn candidates_are_read_to_the_bit_from_text_and_from_bytes() {
        let numbers: [f64; 6] = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 9007199254740993.0, -1.0 / 3.0];
        let rows: Vec<String> = numbers.chunks(3).map(|row| format!("{row:?}")).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let text = format!("{{\"candidates\": [{}]}}", rows.join(", "));
        let packed = json!({ "candidates_f64": STANDARD.encode(bytes), "columns": 3 }).to_string();
        for line in [text, packed] {
            let read: Vec<u64> = points(&vectors(), &line).iter().map(|x| x.to_bits()).collect();
            assert_eq!(read, numbers.map(f64::to_bits), "{line}");
        }
    }

    #[test]
    fn values_of_axes_are_known_by_name_by_order_and_by_number() {
        let by_name = r#"{"candidates": [{"rule": "delta", "fast": true, "load": 1, "units": -3}]}"#;
        let in_order = r#"{"candidates": [[1.0, -3, "delta", true]], "generation": 7}"#;
        let bytes: Vec<u8> = [1.0f64, -3.0, 1.0, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = json!({ "candidates_f64": STANDARD.encode(bytes), "columns": 4 }).to_string();
        let form = mixed();
        let space = form.space.as_ref().unwrap();
        for line in [by_name, in_order, &packed] {
            let values: Vec<Value> = space.values(&points(&form, line)).into_iter().map(|(_, value)| value).collect();
            let expected = [Value::Float(1.0), Value::Integer(-3), Value::text("delta"), Value::Boolean(true)];
            assert_eq!(values, expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_what_would_be_one() {
        let wrong = |form: &Form, line: &str, says: &str| {
            let error = form.request(line.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        };
        let (axes, vectors) = (mixed(), vectors());
        wrong(&axes, "hello", "no JSON");
        wrong(&axes, "[1]", "no object");
        wrong(&axes, r#"{"candidate": []}"#, "did you mean `candidates`?");
        wrong(&axes, r#"{"candidates": []}"#, "at least one");
        wrong(&axes, r#"{"candidates": [[1.0]]}"#, "candidate 0: it has 1 values, and 4 are needed");
        wrong(&axes, r#"{"candidates": [{"loadd": 1}]}"#, "`loadd` is no axis: did you mean `load`?");
        wrong(&axes, r#"{"candidates": [{"load": 1}]}"#, "no value for axis `units`");
        wrong(&axes, r#"{"candidates": [[1, 2, "heb", true]]}"#, "did you mean \"hebb\"?");
        wrong(&axes, r#"{"candidates": [[1, 2.5, "hebb", true]]}"#, "`units` is 2.5, which is no integer");
        wrong(&axes, r#"{"candidates": [["x", 2, "hebb", true]]}"#, "`load` is \"x\", which is no number");
        wrong(&axes, r#"{"candidates_f64": "AAAA", "columns": 4}"#, "3 bytes are no rows of 4 numbers");
        wrong(&axes, r#"{"candidates_f64": "AAAA"}"#, "`columns` is missing");
        let out = STANDARD.encode([0.0f64, 0.0, 3.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        wrong(&axes, &json!({ "candidates_f64": out, "columns": 4 }).to_string(), "`rule` is 3.0");
        wrong(&vectors, r#"{"candidates": [[1, 2, "x"]]}"#, "number 2 is \"x\"");
        wrong(&vectors, r#"{"candidates": [{"x0": 1}]}"#, "a list of 3 numbers");
        wrong(&vectors, r#"{"candidates": [[1, 2, 3]], "generation": -1}"#, "`generation` is -1");
        wrong(&vectors, r#"{"finish": false}"#, "{\"finish\": true}");
        assert_eq!(vectors.request(b"{\"finish\": true}"), Ok(Request::Finish));
    }

    #[test]
    fn an_answer_has_every_outcome_in_order_and_numbers_that_json_has_not() {
        let form = form("load = { any = \"number\" }");
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        let outcomes = Outcomes {
            trials: 4,
            metrics: 3,
            statuses: vec![Status::Scored, Status::Scored, Status::Failed, Status::TimedOut],
            values: vec![7.0, 7.0, 8.0, 8.0, 0.5, -infinity, nan, nan, 2.0, 4.0, nan, nan],
            errors: vec![TrialError { offset: 2, message: "it fell over".into() }],
        };
        let expected = json!({
            "generation": 3,
            "values": [3.0, "NaN"],
            "metrics": {
                "height": [[0.5, "-Infinity"], ["NaN", "NaN"]],
                "cost": [[2.0, 4.0], ["NaN", "NaN"]],
            },
            "outcomes": [["scored", "scored"], ["failed", "timed_out"]],
            "errors": [{ "candidate": 1, "replicate": 0, "error": "it fell over" }],
        });
        assert_eq!(form.answer(3, &outcomes), expected);
    }
}
