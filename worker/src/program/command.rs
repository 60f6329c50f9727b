//! What a program is given of a trial: words, variables and a line of JSON, all from the same settings.

use std::path::Path;
use std::process::{Command, Stdio};

use tumble_domain::code::{HERE, Stdin, Template};
use tumble_domain::{PipelineDescription, Program, Seed, TrialAddress, Value};

/// The variable by which a reaper knows what belongs to its worker.
pub(super) const TOKEN: &str = "TUMBLE_WORKER";
/// In front of a setting's name in capitals.
const SETTING: &str = "TUMBLE_SETTING_";

/// One trial, as a program is told of it.
pub(super) struct Given<'a> {
    pub(super) settings: &'a [Value],
    pub(super) seed: Seed,
    pub(super) trial: u64,
    pub(super) at: TrialAddress,
}

/// The command line and all else that a program is given, with its placeholders looked up.
pub(super) struct Words {
    arguments: Vec<Template>,
    environment: Vec<(String, Template)>,
    /// The settings' names, in the description's order, and those of their variables.
    names: Vec<(String, String)>,
    stdin: Stdin,
    here: String,
    /// Variables of ours that the worker has and a program must not see: they may name access files.
    hidden: Vec<std::ffi::OsString>,
}

impl Words {
    pub(super) fn try_new(program: &Program, description: &PipelineDescription, here: &Path) -> Result<Words, String> {
        let template = |text: &String| Template::parse(text).map_err(|error| format!("{error} in {text:?}"));
        let environment = program.environment.iter().map(|(name, text)| Ok((name.clone(), template(text)?)));
        let names = description.parameters.iter();
        Ok(Words {
            arguments: program.command.iter().skip(1).map(template).collect::<Result<_, _>>()?,
            environment: environment.collect::<Result<_, String>>()?,
            names: names.map(|p| (p.name.clone(), format!("{SETTING}{}", p.name.to_ascii_uppercase()))).collect(),
            stdin: program.stdin,
            here: here.to_string_lossy().into_owned(),
            hidden: std::env::vars_os()
                .map(|(name, _)| name)
                .filter(|name| name.to_string_lossy().starts_with("TUMBLE_"))
                .collect(),
        })
    }

    /// The process of a trial, to be started in `folder`.
    pub(super) fn command(&self, path: &Path, given: &Given<'_>, folder: &Path, token: Option<&str>) -> Command {
        let mut command = Command::new(path);
        command.args(self.arguments.iter().map(|template| self.filled(template, given)));
        for name in &self.hidden {
            command.env_remove(name);
        }
        for ((_, variable), value) in self.names.iter().zip(given.settings) {
            command.env(variable, written(value));
        }
        for (name, number) in places(given) {
            command.env(format!("TUMBLE_{}", name.to_ascii_uppercase()), number.to_string());
        }
        command.env("TUMBLE_HERE", &self.here);
        if let Some(token) = token {
            command.env(TOKEN, token);
        }
        for (name, template) in &self.environment {
            command.env(name, self.filled(template, given));
        }
        let stdin = match self.stdin {
            Stdin::Nothing => Stdio::null(),
            Stdin::Json => Stdio::piped(),
        };
        command.current_dir(folder).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn filled(&self, template: &Template, given: &Given<'_>) -> String {
        template.fill(|name, text| {
            if let Some(i) = self.names.iter().position(|(setting, _)| setting == name) {
                *text += &given.settings.get(i).map(written).unwrap_or_default();
            } else if let Some((_, number)) = places(given).into_iter().find(|(place, _)| *place == name) {
                *text += &number.to_string();
            } else if name == HERE {
                *text += &self.here;
            }
        })
    }

    /// What the program reads on standard input.
    pub(super) fn stdin(&self, given: &Given<'_>) -> Vec<u8> {
        match self.stdin {
            Stdin::Nothing => Vec::new(),
            Stdin::Json => {
                let settings =
                    self.names.iter().zip(given.settings).map(|((name, _), value)| (name.as_str(), json(value)));
                let places = places(given).into_iter().map(|(name, number)| (name, number.to_string()));
                let members: Vec<String> =
                    settings.chain(places).map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}\n", members.join(", ")).into_bytes()
            }
        }
    }

    /// The command line of a trial, for a person who wants to try it by hand.
    pub(super) fn shown(&self, path: &Path, given: &Given<'_>) -> String {
        let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
        let mut words = vec![quoted(&path.to_string_lossy())];
        words.extend(self.arguments.iter().map(|template| quoted(&self.filled(template, given))));
        let variables = self.names.iter().zip(given.settings);
        let mut lines: Vec<String> =
            variables.map(|((_, variable), value)| format!("export {variable}={}", quoted(&written(value)))).collect();
        lines.extend(
            places(given).map(|(name, number)| format!("export TUMBLE_{}={number}", name.to_ascii_uppercase())),
        );
        lines.push(words.join(" "));
        lines.join("\n") + "\n"
    }
}

/// Where a trial stands.
fn places(given: &Given<'_>) -> [(&'static str, u64); 6] {
    let at = given.at;
    [
        ("seed", given.seed.0),
        // Many programs take seeds of 32 bits with a sign, and no more.
        ("seed31", given.seed.0 & 0x7FFF_FFFF),
        ("trial", given.trial),
        ("generation", u64::from(at.generation)),
        ("candidate", at.candidate),
        ("replicate", u64::from(at.replicate)),
    ]
}

/// A value as a word: text as it is, a number by the fewest digits that read back as the same number.
fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// A value as JSON.
fn json(value: &Value) -> String {
    let Value::Text(text) = value else { return value.to_string() };
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            c if c.is_control() => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| out += &format!("\\u{unit:04x}"));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_so_that_they_read_back() {
        let text = Value::text("a \"b\"\\\n'c'");
        assert_eq!((written(&text), json(&text)), ("a \"b\"\\\n'c'".to_owned(), r#""a \"b\"\\\u000a'c'""#.to_owned()));
        for x in [0.1, 1.0, 1e-7, 1e300, 0.1 + 0.2, -0.0, 5e-324] {
            assert_eq!(written(&Value::Float(x)).parse::<f64>().map(f64::to_bits), Ok(x.to_bits()));
        }
        assert_eq!(json(&Value::List(vec![Value::Integer(1), Value::Integer(2)])), "[1, 2]");
        assert_eq!(written(&Value::Boolean(true)), "true");
    }
}
