//! The struct that something is derived for, read once: its fields with their doc comments, and where the traits are.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, Ident, Lit, Meta, Path, Result, Type};

/// A struct with named fields.
pub(crate) struct Struct {
    pub(crate) name: Ident,
    /// The crate through which the traits are reached.
    pub(crate) home: TokenStream,
    pub(crate) fields: Vec<Field>,
}

/// One of them.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) kind: Type,
    /// The doc comment, on one line.
    pub(crate) summary: String,
    pub(crate) attributes: Vec<Attribute>,
}

impl Struct {
    /// Reads the input of a derive; `what` is the word for what its fields become.
    pub(crate) fn read(input: TokenStream, what: &str) -> Result<Struct> {
        let input: DeriveInput = syn::parse2(input)?;
        if !input.generics.params.is_empty() {
            return Err(Error::new(input.generics.span(), format!("{what}s are derived for structs without generics")));
        }
        let Data::Struct(data) = input.data else {
            return Err(Error::new(input.ident.span(), format!("{what}s are derived for a struct with named fields")));
        };
        let Fields::Named(named) = data.fields else {
            return Err(Error::new(input.ident.span(), format!("each field needs a name: it is that of the {what}")));
        };
        let fields: Vec<Field> =
            named.named.into_iter().map(|field| Field::read(field, what)).collect::<Result<_>>()?;
        if fields.is_empty() && what == "metric" {
            return Err(Error::new(input.ident.span(), "a pipeline has one metric at least"));
        }
        Ok(Struct { home: home(&input.attrs)?, name: input.ident, fields })
    }
}

impl Field {
    fn read(field: syn::Field, what: &str) -> Result<Field> {
        let name = field.ident.clone().expect("the fields have names");
        let summary = summary(&field.attrs);
        if summary.is_empty() {
            let why = format!("the {what} `{name}` has no summary: write a doc comment (`/// …`) above it");
            return Err(Error::new(name.span(), why));
        }
        Ok(Field { name, kind: field.ty, summary, attributes: field.attrs })
    }

    /// The name as a run file spells it.
    pub(crate) fn spelled(&self) -> String {
        let name = self.name.to_string();
        name.strip_prefix("r#").unwrap_or(&name).to_owned()
    }

    /// The pairs in the attributes of this name, `#[name(key = value, …)]`; one that is not among `keys` is an error.
    pub(crate) fn pairs(&self, attribute: &str, keys: &[&str]) -> Result<Vec<(String, Expr)>> {
        let mut pairs: Vec<(String, Expr)> = Vec::new();
        for given in self.attributes.iter().filter(|given| given.path().is_ident(attribute)) {
            given.parse_nested_meta(|meta| {
                let key = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
                if !keys.contains(&&*key) {
                    let known = keys.join("`, `");
                    return Err(meta.error(format!("`{}` has no `{key}`; known are `{known}`", self.name)));
                }
                if pairs.iter().any(|(other, _)| *other == key) {
                    return Err(meta.error(format!("`{}` has `{key}` twice", self.name)));
                }
                pairs.push((key, meta.value()?.parse()?));
                Ok(())
            })?;
        }
        Ok(pairs)
    }
}

/// The text of the doc comment; lines are joined.
fn summary(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `#[tumble(crate = path)]`, for who reaches the traits another way than through `tumble_worker`.
fn home(attributes: &[Attribute]) -> Result<TokenStream> {
    let mut home = quote!(::tumble_worker);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("tumble")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("known is `crate`"));
            }
            let path: Path = meta.value()?.parse()?;
            home = quote!(#path);
            Ok(())
        })?;
    }
    Ok(home)
}
