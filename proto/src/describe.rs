//! Pipeline descriptions and values, to the wire and back.

use tumble_domain::{
    Direction, Extent, Genome, GenomeLength, Kind, Metric, Objective, Parameter, PipelineDescription, Tensor, Value,
};

use crate::{WireError, v1};

/// A description as it travels.
pub fn to_wire(description: &PipelineDescription) -> v1::PipelineDescription {
    v1::PipelineDescription {
        name: description.name.clone(),
        version: description.version,
        summary: description.summary.clone(),
        source: description.source.clone(),
        parameters: description.parameters.iter().map(parameter_to_wire).collect(),
        metrics: description
            .metrics
            .iter()
            .map(|m| v1::Metric { name: m.name.clone(), unit: m.unit.clone(), summary: m.summary.clone() })
            .collect(),
        objective: Some(v1::Objective {
            metric: description.objective.metric.clone(),
            minimise: description.objective.direction == Direction::Minimise,
        }),
        genome: description.genome.as_ref().map(|genome| v1::Genome {
            name: genome.name.clone(),
            length: Some(match &genome.length {
                GenomeLength::Fixed(n) => v1::genome::Length::Fixed(*n),
                GenomeLength::Parameter(name) => v1::genome::Length::Parameter(name.clone()),
                GenomeLength::Tensors(tensors) => {
                    v1::genome::Length::Tensors(v1::TensorList { items: tensors.iter().map(tensor_to_wire).collect() })
                }
            }),
            bounds: genome.bounds.map(bounds_to_wire),
            summary: genome.summary.clone(),
        }),
        prolongs: description.prolongs.clone(),
    }
}

/// A description as it was sent.
pub fn from_wire(wire: v1::PipelineDescription) -> Result<PipelineDescription, WireError> {
    let objective = wire.objective.ok_or(WireError::Missing("objective"))?;
    let genome = match wire.genome {
        None => None,
        Some(genome) => Some(Genome {
            name: genome.name,
            length: match genome.length.ok_or(WireError::Missing("genome.length"))? {
                v1::genome::Length::Fixed(n) => GenomeLength::Fixed(n),
                v1::genome::Length::Parameter(name) => GenomeLength::Parameter(name),
                v1::genome::Length::Tensors(list) => GenomeLength::Tensors(
                    list.items.into_iter().map(tensor_from_wire).collect::<Result<_, WireError>>()?,
                ),
            },
            bounds: genome.bounds.map(|b| (b.least, b.most)),
            summary: genome.summary,
        }),
    };
    Ok(PipelineDescription {
        name: wire.name,
        version: wire.version,
        summary: wire.summary,
        source: wire.source,
        parameters: wire.parameters.into_iter().map(parameter_from_wire).collect::<Result<_, _>>()?,
        metrics: wire.metrics.into_iter().map(|m| Metric { name: m.name, unit: m.unit, summary: m.summary }).collect(),
        objective: Objective {
            metric: objective.metric,
            direction: if objective.minimise { Direction::Minimise } else { Direction::Maximise },
        },
        genome,
        prolongs: wire.prolongs,
    })
}

fn tensor_to_wire(tensor: &Tensor) -> v1::Tensor {
    v1::Tensor {
        name: tensor.name.clone(),
        rows: Some(extent_to_wire(&tensor.rows)),
        columns: Some(extent_to_wire(&tensor.columns)),
    }
}

fn tensor_from_wire(wire: v1::Tensor) -> Result<Tensor, WireError> {
    Ok(Tensor {
        name: wire.name,
        rows: extent_from_wire(wire.rows, "tensor.rows")?,
        columns: extent_from_wire(wire.columns, "tensor.columns")?,
    })
}

fn extent_to_wire(extent: &Extent) -> v1::Extent {
    v1::Extent {
        kind: Some(match extent {
            Extent::Fixed(n) => v1::extent::Kind::Fixed(*n),
            Extent::Parameter(name) => v1::extent::Kind::Parameter(name.clone()),
        }),
    }
}

fn extent_from_wire(wire: Option<v1::Extent>, field: &'static str) -> Result<Extent, WireError> {
    Ok(match wire.and_then(|wire| wire.kind).ok_or(WireError::Missing(field))? {
        v1::extent::Kind::Fixed(n) => Extent::Fixed(n),
        v1::extent::Kind::Parameter(name) => Extent::Parameter(name),
    })
}

fn bounds_to_wire((least, most): (f64, f64)) -> v1::Bounds {
    v1::Bounds { least, most }
}

fn parameter_to_wire(parameter: &Parameter) -> v1::Parameter {
    v1::Parameter {
        name: parameter.name.clone(),
        kind: match parameter.kind {
            Kind::Float => v1::Kind::Float,
            Kind::Integer => v1::Kind::Integer,
            Kind::Boolean => v1::Kind::Boolean,
            Kind::Text => v1::Kind::Text,
            Kind::Integers => v1::Kind::Integers,
        } as i32,
        unit: parameter.unit.clone(),
        default: parameter.default.as_ref().map(value_to_wire),
        bounds: parameter.bounds.map(bounds_to_wire),
        choices: parameter.choices.clone(),
        summary: parameter.summary.clone(),
    }
}

fn parameter_from_wire(wire: v1::Parameter) -> Result<Parameter, WireError> {
    let kind = match wire.kind() {
        v1::Kind::Float => Kind::Float,
        v1::Kind::Integer => Kind::Integer,
        v1::Kind::Boolean => Kind::Boolean,
        v1::Kind::Text => Kind::Text,
        v1::Kind::Integers => Kind::Integers,
        v1::Kind::Unspecified => return Err(WireError::Malformed("parameter.kind")),
    };
    Ok(Parameter {
        name: wire.name,
        kind,
        unit: wire.unit,
        default: wire.default.map(|v| value_from_wire(v, 0)).transpose()?,
        bounds: wire.bounds.map(|b| (b.least, b.most)),
        choices: wire.choices,
        summary: wire.summary,
    })
}

fn value_to_wire(value: &Value) -> v1::Value {
    use v1::value::Kind;
    v1::Value {
        kind: Some(match value {
            Value::Float(x) => Kind::Float(*x),
            Value::Integer(i) => Kind::Integer(*i),
            Value::Boolean(b) => Kind::Boolean(*b),
            Value::Text(s) => Kind::Text(s.to_string()),
            Value::List(items) => Kind::List(v1::ValueList { items: items.iter().map(value_to_wire).collect() }),
        }),
    }
}

/// Lists of lists do not exist, so anything deeper is refused before it is followed.
fn value_from_wire(wire: v1::Value, depth: u32) -> Result<Value, WireError> {
    use v1::value::Kind;
    Ok(match wire.kind.ok_or(WireError::Missing("value"))? {
        Kind::Float(x) => Value::Float(x),
        Kind::Integer(i) => Value::Integer(i),
        Kind::Boolean(b) => Value::Boolean(b),
        Kind::Text(s) => Value::text(&s),
        Kind::List(_) if depth > 0 => return Err(WireError::Malformed("value")),
        Kind::List(list) => {
            Value::List(list.items.into_iter().map(|v| value_from_wire(v, depth + 1)).collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back_as_it_left() {
        let description = PipelineDescription {
            name: "benchmark-functions".into(),
            version: 3,
            summary: "sums".into(),
            source: "books".into(),
            parameters: vec![Parameter {
                name: "digits".into(),
                kind: Kind::Integers,
                unit: String::new(),
                default: Some(Value::List(vec![Value::Integer(0), Value::Integer(1)])),
                bounds: Some((0.0, 9.0)),
                choices: vec!["a".into()],
                summary: "which".into(),
            }],
            metrics: vec![Metric { name: "value".into(), unit: "m".into(), summary: "f".into() }],
            objective: Objective { metric: "value".into(), direction: Direction::Minimise },
            prolongs: Some("dimension".into()),
            genome: Some(Genome {
                name: "x".into(),
                length: GenomeLength::Parameter("dimension".into()),
                bounds: None,
                summary: "where".into(),
            }),
        };
        assert_eq!(from_wire(to_wire(&description)), Ok(description.clone()));

        let tensors =
            vec![Tensor { name: "w1".into(), rows: Extent::Fixed(784), columns: Extent::Parameter("hidden".into()) }];
        let genome = description.genome.clone().map(|g| Genome { length: GenomeLength::Tensors(tensors), ..g });
        let layers = PipelineDescription { genome, ..description };
        assert_eq!(from_wire(to_wire(&layers)), Ok(layers.clone()));
        let mut wire = to_wire(&layers);
        if let Some(v1::genome::Length::Tensors(list)) = wire.genome.as_mut().and_then(|genome| genome.length.as_mut())
        {
            list.items[0].columns = None;
        }
        assert_eq!(from_wire(wire), Err(WireError::Missing("tensor.columns")));
    }
}
