//! `#[derive(Metrics)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::fields::Struct;

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let Struct { name, home, fields } = Struct::read(input, "metric")?;
    let mut described = Vec::new();
    for field in &fields {
        let pairs = field.pairs("metric", &["unit"])?;
        let unit = pairs.first().map_or_else(|| quote!(""), |(_, unit)| quote!(#unit));
        let (name, summary) = (field.spelled(), &field.summary);
        described.push(quote!(#home::declare::metric(#name, #unit, #summary)));
    }
    let numbers = fields.iter().map(|field| {
        let name = &field.name;
        quote!(#home::declare::Number::number(self.#name))
    });
    let count = fields.len();
    Ok(quote! {
        impl #home::declare::Metrics for #name {
            fn metrics() -> ::std::vec::Vec<#home::declare::Metric> {
                ::std::vec![#(#described),*]
            }

            fn write(&self, metrics: &mut [f64]) {
                let numbers: [f64; #count] = [#(#numbers),*];
                metrics.copy_from_slice(&numbers);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_becomes_a_metric_and_the_traits_may_be_reached_another_way() {
        let expanded = expand(quote! {
            #[tumble(crate = crate::elsewhere)]
            struct Scores {
                /// How warm it is.
                #[metric(unit = "K")]
                heat: f64,
                /// How often it rang.
                rings: u32,
            }
        });
        let text = expanded.expect("nothing is wrong with it").to_string();
        for tokens in [
            quote!(impl crate::elsewhere::declare::Metrics for Scores),
            quote!(crate::elsewhere::declare::metric("heat", "K", "How warm it is.")),
            quote!([
                crate::elsewhere::declare::Number::number(self.heat),
                crate::elsewhere::declare::Number::number(self.rings)
            ]),
        ] {
            assert!(text.contains(&tokens.to_string()), "{tokens} is not in {text}");
        }
    }

    #[test]
    fn what_cannot_be_a_metric_is_told_with_the_name_of_the_field() {
        for (input, expected) in [
            (
                quote!(
                    struct Scores {
                        heat: f64,
                    }
                ),
                "the metric `heat` has no summary",
            ),
            (
                quote!(
                    struct Scores {
                        #[doc = "Heat."]
                        #[metric(min = 1)]
                        heat: f64,
                    }
                ),
                "`heat` has no `min`; known are `unit`",
            ),
            (
                quote!(
                    struct Scores {}
                ),
                "one metric at least",
            ),
            (
                quote!(
                    #[tumble(home = crate)]
                    struct Scores {
                        #[doc = "Heat."]
                        heat: f64,
                    }
                ),
                "known is `crate`",
            ),
        ] {
            let why = expand(input).expect_err("something is wrong").to_string();
            assert!(why.contains(expected), "{expected}: {why}");
        }
    }
}
