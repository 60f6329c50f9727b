//! `#[derive(Parameters)]` and `#[derive(Metrics)]`: what a pipeline takes and gives, from the fields of two structs.
//!
//! The traits and what the generated code calls are in `tumble_pipelines::declare`. What cannot be said so is an error of the
//! compiler at the field that it is about.

mod fields;
mod metrics;
mod parameters;

use proc_macro::TokenStream;

/// A parameter for each field: its name, its kind from the field's type, and its summary from the field's doc comment.
///
/// `#[parameter(default = …)]` has the value that holds when a run file is silent, and may have `min`, `max`, `unit = "…"` and,
/// for text, `choices = ["…", …]`, of which the first is the default where none is named.
#[proc_macro_derive(Parameters, attributes(parameter, tumble))]
pub fn parameters(input: TokenStream) -> TokenStream {
    expanded(parameters::expand(input.into()))
}

/// A metric for each field: its name, and its summary from the field's doc comment; `#[metric(unit = "…")]` has its unit.
#[proc_macro_derive(Metrics, attributes(metric, tumble))]
pub fn metrics(input: TokenStream) -> TokenStream {
    expanded(metrics::expand(input.into()))
}

fn expanded(expansion: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expansion.unwrap_or_else(|error| error.to_compile_error()).into()
}
