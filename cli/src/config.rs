//! The configuration file: what a person or a machine always says, laid under the command line.
//!
//! A key is a setting that has an environment variable, in its words: `client_access` for `TUMBLE_CLIENT_ACCESS`. A flag
//! goes before the environment, the environment before the file, the file before the default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{ArgAction, Command};
use toml::de::{DeTable, DeValue};
use tumble_domain::nearest::nearest;
use tumble_worker::process::user_folder;

const PREFIX: &str = "TUMBLE_";

/// `command` with the values of the configuration file as defaults, if there is a file.
pub(crate) fn laid_under(command: Command) -> Result<Command, String> {
    let Some(path) = place()? else { return Ok(command) };
    let text = std::fs::read_to_string(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    let values = understood(&path, &text, &settings(&command))?;
    Ok(with_defaults(command, &values))
}

/// `TUMBLE_CONFIG`, where an empty one stands for none; else where the XDG base directory specification puts it, if it is
/// there.
fn place() -> Result<Option<PathBuf>, String> {
    if let Some(named) = std::env::var_os("TUMBLE_CONFIG") {
        return Ok((!named.is_empty()).then(|| PathBuf::from(named)));
    }
    let folder = user_folder("XDG_CONFIG_HOME", ".config");
    Ok(folder.map(|folder| folder.join("tumble/config.toml")).filter(|path| path.is_file()))
}

/// A setting that the file may have.
struct Setting {
    parser: ValueParser,
    is_flag: bool,
}

/// Every setting with an environment variable, by its key.
fn settings(command: &Command) -> BTreeMap<String, Setting> {
    let own = command.get_arguments().filter_map(|arg| {
        let setting = Setting { parser: arg.get_value_parser().clone(), is_flag: is_flag(arg) };
        Some((key_of(arg)?, setting))
    });
    own.chain(command.get_subcommands().flat_map(settings)).collect()
}

fn key_of(arg: &clap::Arg) -> Option<String> {
    Some(arg.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase())
}

fn is_flag(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The values of the file by key, as they would be typed.
fn understood(
    path: &Path,
    text: &str,
    settings: &BTreeMap<String, Setting>,
) -> Result<BTreeMap<String, String>, String> {
    let problem = |at: usize, message: String| {
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        format!("{}:{line}: {message}", path.display())
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        problem(at, format!("not TOML: {}", error.message()))
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let (at, key) = (key.span().start, key.get_ref().as_ref());
        let Some(setting) = settings.get(key) else {
            let known = || settings.keys().map(String::as_str);
            let hint = match nearest(key, known()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("write one of {}", known().collect::<Vec<_>>().join(", ")),
            };
            return Err(problem(at, format!("unknown key `{key}`; {hint}")));
        };
        let typed = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(truth) => truth.to_string(),
            _ => return Err(problem(at, format!("`{key}` is to be a text, a whole number, true or false"))),
        };
        try_out(setting, &typed).map_err(|why| problem(at, format!("`{key}`: {why}")))?;
        values.insert(key.to_owned(), typed);
    }
    Ok(values)
}

/// Whether the command line would take it.
fn try_out(setting: &Setting, typed: &str) -> Result<(), String> {
    if setting.is_flag {
        return matches!(typed, "true" | "false").then_some(()).ok_or_else(|| "expected true or false".to_owned());
    }
    let value = clap::Arg::new("value").required(true).allow_hyphen_values(true).value_parser(setting.parser.clone());
    let tried =
        Command::new("config").no_binary_name(true).disable_help_flag(true).arg(value).try_get_matches_from([typed]);
    tried.map(drop).map_err(|error| {
        let said = error.to_string();
        said.lines().next().unwrap_or_default().trim_start_matches("error: ").replace(" for '<value>'", "")
    })
}

fn with_defaults(command: Command, values: &BTreeMap<String, String>) -> Command {
    let command = command.mut_args(|arg| match key_of(&arg).and_then(|key| values.get(&key)) {
        Some(value) => arg.default_value(value.clone()),
        None => arg,
    });
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| with_defaults(sub, values)))
}
