//! `#[derive(Parameters)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, Result, Type};

use crate::fields::{Field, Struct};

/// What `#[parameter(…)]` may say.
const KEYS: [&str; 5] = ["default", "min", "max", "unit", "choices"];

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let Struct { name, home, fields } = Struct::read(input, "parameter")?;
    let described: Vec<TokenStream> = fields.iter().map(|field| described(field, &home)).collect::<Result<_>>()?;
    let read = fields.iter().enumerate().map(|(index, field)| {
        let name = &field.name;
        quote!(#name: #home::declare::setting(settings, #index)?)
    });
    Ok(quote! {
        impl #home::declare::Parameters for #name {
            fn parameters() -> ::std::vec::Vec<#home::declare::Parameter> {
                ::std::vec![#(#described),*]
            }

            fn read(
                settings: &[#home::declare::Value],
            ) -> ::std::result::Result<Self, #home::declare::Failure> {
                ::std::result::Result::Ok(Self { #(#read),* })
            }
        }
    })
}

fn described(field: &Field, home: &TokenStream) -> Result<TokenStream> {
    let (name, kind, summary) = (field.spelled(), &field.kind, &field.summary);
    let pairs = field.pairs("parameter", &KEYS)?;
    let of = |key: &str| pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value);
    let choices = of("choices").map(|choices| words(field, choices)).transpose()?.unwrap_or_default();
    if !choices.is_empty() && !is_text(kind) {
        return Err(Error::new(
            kind.span(),
            format!("`{}` has choices, which are for fields of type String", field.name),
        ));
    }
    let default = match (of("default"), choices.first()) {
        // As a run file has it, without a word more than is needed.
        (Some(Expr::Lit(ExprLit { lit: Lit::Str(word), .. })), _) => quote!(::std::string::String::from(#word)),
        (Some(value), _) => quote!(#value),
        (None, Some(word)) => quote!(::std::string::String::from(#word)),
        (None, None) => {
            let why = format!(
                "the parameter `{}` has no default: add `#[parameter(default = …)]`, the value where a run file is silent",
                field.name
            );
            return Err(Error::new(field.name.span(), why));
        }
    };
    let bound = |key: &str| match of(key) {
        Some(bound) => quote!(::std::option::Option::Some((#bound) as f64)),
        None => quote!(::std::option::Option::None),
    };
    let (min, max) = (bound("min"), bound("max"));
    let unit = of("unit").map_or_else(|| quote!(""), |unit| quote!(#unit));
    Ok(quote! {
        #home::declare::parameter::<#kind>(#name, #default, (#min, #max), #unit, &[#(#choices),*], #summary)
    })
}

/// The words of `["…", …]`.
fn words(field: &Field, choices: &Expr) -> Result<Vec<String>> {
    let wrong = || {
        Error::new(
            choices.span(),
            format!("the choices of `{}` are a list of texts, as `[\"one\", \"two\"]`", field.name),
        )
    };
    let Expr::Array(array) = choices else { return Err(wrong()) };
    let word = |element: &Expr| match element {
        Expr::Lit(ExprLit { lit: Lit::Str(word), .. }) => Ok(word.value()),
        _ => Err(wrong()),
    };
    array.elems.iter().map(word).collect()
}

fn is_text(kind: &Type) -> bool {
    matches!(kind, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "String"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_becomes_a_parameter_with_all_that_is_said_of_it() {
        let expanded = expand(quote! {
            struct Settings {
                /// How fast
                /// it goes.
                #[parameter(default = 0.5, min = 0, max = 1, unit = "m/s")]
                speed: f64,
                /// How it goes.
                #[parameter(choices = ["slow", "fast"])]
                r#mode: String,
            }
        });
        let text = expanded.expect("nothing is wrong with it").to_string();
        let has = |tokens: TokenStream| assert!(text.contains(&tokens.to_string()), "{tokens} is not in {text}");
        has(quote!(::tumble_worker::declare::parameter::<f64>(
            "speed",
            0.5,
            (::std::option::Option::Some((0) as f64), ::std::option::Option::Some((1) as f64)),
            "m/s",
            &[],
            "How fast it goes."
        )));
        has(quote!(::tumble_worker::declare::parameter::<String>(
            "mode",
            ::std::string::String::from("slow"),
            (::std::option::Option::None, ::std::option::Option::None),
            "",
            &["slow", "fast"],
            "How it goes."
        )));
        has(quote!(r#mode: ::tumble_worker::declare::setting(settings, 1usize)?));
    }

    #[test]
    fn what_cannot_be_a_parameter_is_told_with_the_name_of_the_field() {
        for (fields, expected) in [
            (quote!(#[parameter(default = 1.0)] speed: f64), "`speed` has no summary"),
            (quote!(#[doc = "How fast."] speed: f64), "`speed` has no default"),
            (
                quote!(#[doc = "How fast."] #[parameter(defualt = 1.0)] speed: f64),
                "`speed` has no `defualt`; known are",
            ),
            (quote!(#[doc = "How fast."] #[parameter(min = 1, min = 2)] speed: f64), "`speed` has `min` twice"),
            (quote!(#[doc = "How."] #[parameter(choices = ["a"])] how: f64), "`how` has choices, which are for"),
            (quote!(#[doc = "How."] #[parameter(choices = "a")] how: String), "the choices of `how` are a list"),
        ] {
            let why = expand(quote!(struct Settings { #fields })).expect_err("something is wrong").to_string();
            assert!(why.contains(expected), "{expected}: {why}");
        }
        for (input, expected) in [
            (
                quote!(
                    struct Settings(f64);
                ),
                "each field needs a name",
            ),
            (
                quote!(
                    enum Settings {
                        One,
                    }
                ),
                "a struct with named fields",
            ),
            (
                quote!(
                    struct Settings<T> {
                        speed: T,
                    }
                ),
                "without generics",
            ),
        ] {
            let why = expand(input).expect_err("something is wrong").to_string();
            assert!(why.contains(expected), "{expected}: {why}");
        }
    }
}
