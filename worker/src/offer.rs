//! What a worker offers: the pipelines that come with Tumble, those of a worker binary's own, or both.

use std::fmt;
use std::sync::Arc;

use tumble_pipelines::{Pipeline, sound};

/// Pipelines of a worker binary's own, beside those that come with Tumble or instead of them.
#[derive(Clone, Default)]
pub struct Offer {
    own: Vec<Arc<dyn Pipeline>>,
    alone: bool,
}

/// Why a worker cannot offer its pipelines.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OfferError {
    /// Its description does not hold together.
    #[error("the description of pipeline `{pipeline}` does not hold together: {problem}")]
    Unsound {
        /// Whose.
        pipeline: String,
        /// What is wrong, with the name of the parameter or metric.
        problem: String,
    },
    /// A run file could mean either.
    #[error("two pipelines are called `{0}`; call yours something else")]
    Twice(String),
}

impl Offer {
    /// These pipelines beside those that every worker has.
    pub fn beside(own: Vec<Box<dyn Pipeline>>) -> Offer {
        Offer { own: own.into_iter().map(Arc::from).collect(), alone: false }
    }

    /// These pipelines and nothing else.
    pub fn alone(own: Vec<Box<dyn Pipeline>>) -> Offer {
        Offer { alone: true, ..Offer::beside(own) }
    }

    /// Every pipeline that is offered, where those that come with Tumble are `with_tumble`.
    pub fn among(&self, with_tumble: Vec<Arc<dyn Pipeline>>) -> Result<Vec<Arc<dyn Pipeline>>, OfferError> {
        let mut all = if self.alone { Vec::new() } else { with_tumble };
        for pipeline in &self.own {
            let description = pipeline.description();
            if let Some(problem) = sound::problems(description).into_iter().next() {
                return Err(OfferError::Unsound { pipeline: description.name.clone(), problem });
            }
            if all.iter().any(|other| other.description().name == description.name) {
                return Err(OfferError::Twice(description.name.clone()));
            }
            all.push(pipeline.clone());
        }
        Ok(all)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.own.iter().map(|pipeline| &*pipeline.description().name).collect();
        f.debug_struct("Offer").field("own", &names).field("alone", &self.alone).finish()
    }
}

#[cfg(test)]
mod tests {
    use tumble_domain::PipelineDescription;
    use tumble_pipelines::{Evaluator, registry};

    use super::*;

    /// Sphere under another name.
    struct Renamed(PipelineDescription);

    impl Renamed {
        fn to(name: &str) -> Box<dyn Pipeline> {
            let known = registry::find("benchmark-functions").expect("it is built in");
            Box::new(Renamed(PipelineDescription { name: name.into(), ..known.description().clone() }))
        }
    }

    impl Pipeline for Renamed {
        fn description(&self) -> &PipelineDescription {
            &self.0
        }

        fn evaluator(&self) -> Box<dyn Evaluator> {
            registry::find("benchmark-functions").expect("it is built in").evaluator()
        }
    }

    fn names(offer: &Offer) -> Result<Vec<String>, OfferError> {
        let all = offer.among(registry::all().into_iter().map(Arc::from).collect())?;
        Ok(all.iter().map(|pipeline| pipeline.description().name.clone()).collect())
    }

    #[test]
    fn own_pipelines_stand_beside_those_of_tumble_or_alone() {
        let built_in = names(&Offer::default()).expect("they are all sound");
        let beside = names(&Offer::beside(vec![Renamed::to("mine")])).expect("it has a name of its own");
        assert_eq!(beside, [built_in, vec!["mine".to_owned()]].concat());
        assert_eq!(names(&Offer::alone(vec![Renamed::to("mine")])), Ok(vec!["mine".to_owned()]));
        // One's own version of a pipeline that comes with Tumble.
        assert!(names(&Offer::alone(vec![Renamed::to("go-cls")])).is_ok());
    }

    #[test]
    fn pipelines_that_could_be_mistaken_or_do_not_hold_together_are_not_offered() {
        for offer in [
            Offer::beside(vec![Renamed::to("go-cls")]),
            Offer::alone(vec![Renamed::to("go-cls"), Renamed::to("go-cls")]),
        ] {
            assert_eq!(names(&offer), Err(OfferError::Twice("go-cls".to_owned())));
        }
        let refused = names(&Offer::beside(vec![Renamed::to("No Name")])).unwrap_err();
        assert!(refused.to_string().contains("`No Name`"), "{refused}");
    }
}
