//! What the binary is told: flags, environment and a file, laid over each other into settings of the
//! library. Called by `main`; starts nothing itself.

mod options;
mod tls;
mod value;

use std::path::{Path, PathBuf};

use clap::Parser;

pub(crate) use self::options::Options;

const EXAMPLES: &str = "\
Examples:
  kinesis-emulator
      Streams and tables at http://127.0.0.1:4567, without delays, on the machine's clock.
  kinesis-emulator --port 0 --delay-create 2s --delay-reshard 5s
      Any free port; changes of state take as long as they are told.
  kinesis-emulator --init streams.toml
      Streams, consumers and tables that are there from the start.
  kinesis-emulator --tls --tls-ca-file ca.pem
      HTTPS; clients have to trust the certificate in ca.pem.
  kinesis-emulator --host 0.0.0.0 --auth sigv4 --auth-keys keys.toml
      For other machines, which have to sign their requests.
  kinesis-emulator --config emulator.toml --log debug
      Settings from a file. Its keys are the names of the flags; a flag or a variable of the
      environment goes before it.
  aws kinesis list-streams --endpoint-url http://127.0.0.1:4567
      A first call. Any credentials will do.

Every setting is also a variable: --delay-create is KINESIS_EMULATOR_DELAY_CREATE.";

/// Amazon Kinesis Data Streams, and the DynamoDB calls of its consumers, on one local port.
#[derive(Debug, Parser)]
#[command(name = "kinesis-emulator", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// A file of settings in TOML, with the names of the flags as keys.
    #[arg(
        long,
        env = "KINESIS_EMULATOR_CONFIG",
        hide_env = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

impl Flags {
    /// All that is set: flags and environment before the file.
    pub(crate) fn settle(self) -> Result<Options, String> {
        match &self.config {
            None => Ok(self.options),
            Some(path) => read(path)?.with(&self.options),
        }
    }
}

fn read(path: &Path) -> Result<Options, String> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the settings in {place}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("the settings in {place} are not right: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_flags_is_sound() {
        Flags::command().debug_assert();
    }

    /// What a flag, a variable and a key are called cannot drift apart.
    #[test]
    fn every_flag_has_its_variable_and_its_heading() {
        for argument in Flags::command().get_arguments() {
            let name = argument.get_id().as_str();
            let variable = format!("KINESIS_EMULATOR_{}", name.to_uppercase());
            let env = argument.get_env().and_then(|name| name.to_str());
            assert_eq!(env, Some(variable.as_str()), "{name}");
            assert!(argument.get_help().is_some(), "{name} is not explained");
            let long = name.replace('_', "-");
            assert_eq!(argument.get_long(), Some(long.as_str()));
        }
    }

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/emulator.md");
    const BEGIN: &str = "see emulator/src/cli.rs -->\n";
    const END: &str = "<!-- end of flags -->";

    /// The table of all settings, under the headings of the help.
    fn table() -> String {
        let mut table = String::new();
        let mut heading = None;
        for argument in Flags::command().get_arguments() {
            let of = argument.get_help_heading().unwrap_or("General");
            if heading.as_deref() != Some(of) {
                heading = Some(of.to_owned());
                table += &format!("\n**{of}**\n\n| flag | what it does |\n|---|---|\n");
            }
            let name = argument.get_long().unwrap_or_default();
            let value = argument.get_value_names().unwrap_or_default().join(" ");
            let help = argument.get_help().map(ToString::to_string);
            let help = help.unwrap_or_default().replace('|', "\\|");
            let flag = if argument.is_require_equals_set() {
                format!("--{name}[={value}]")
            } else {
                format!("--{name} {value}")
            };
            table += &format!("| `{flag}` | {help} |\n");
        }
        table + "\n"
    }

    /// With `UPDATE_DOCS` set the table is written instead of checked.
    #[test]
    fn the_documented_flags_are_those_of_the_program() {
        let text = std::fs::read_to_string(DOCS).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (documented, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = format!("{before}{BEGIN}{}{END}{after}", table());
            std::fs::write(DOCS, text).unwrap();
            return;
        }
        assert_eq!(documented, table(), "run this test with UPDATE_DOCS=1");
    }

    #[test]
    fn the_documented_examples_are_right() {
        let text = std::fs::read_to_string(DOCS).unwrap();
        let example = |name: &str| {
            let mark = format!("<!-- example: {name} -->\n```toml\n");
            let (_, rest) = text.split_once(&mark).unwrap();
            rest.split_once("```").unwrap().0.to_owned()
        };
        let config: Options = toml::from_str(&example("config")).unwrap();
        assert_eq!(config.region.as_deref(), Some("eu-west-1"));
        config.settings().unwrap();
        kinesis_emulator::Keys::parse(&example("keys")).unwrap();
        let init = kinesis_emulator::Init::parse(&example("init")).unwrap();
        kinesis_emulator::Service::with_init(kinesis_emulator::Settings::default(), &init).unwrap();
    }

    #[test]
    fn other_addresses_need_signatures_or_the_word_insecure() {
        let check = |arguments: &[&str], address: &str| {
            let all = ["kinesis-emulator"].iter().chain(arguments);
            let options = Flags::try_parse_from(all).unwrap().settle().unwrap();
            options.check_address(address.parse().unwrap())
        };
        assert!(check(&[], "127.0.0.1:1").is_ok());
        assert!(check(&[], "[::1]:1").is_ok());
        let refused = check(&[], "0.0.0.0:4567").unwrap_err();
        assert!(refused.contains("--insecure-any-address"), "{refused}");
        assert!(check(&[], "10.0.0.1:1").is_err());
        assert!(check(&["--insecure-any-address"], "0.0.0.0:1").is_ok());
        assert!(check(&["--auth", "sigv4"], "0.0.0.0:1").is_ok());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let options = |arguments: &[&str]| {
            let all = ["kinesis-emulator"].iter().chain(arguments);
            Flags::try_parse_from(all).unwrap().settle().unwrap()
        };
        for (arguments, expected) in [
            (["--auth", "sigv4"].as_slice(), "add --auth-keys"),
            (&["--auth-keys", "x"], "add --auth sigv4"),
            (&["--auth", "sigv4", "--auth-keys", "/none"], "/none"),
            (&["--clock-rate", "2", "--clock-frozen"], "contradict"),
            (&["--clock-rate=-1"], "clock-rate is -1"),
        ] {
            let refused = options(arguments).settings().map(drop).unwrap_err();
            assert!(refused.contains(expected), "{arguments:?}: {refused}");
        }
        for (arguments, expected) in [
            (["--tls-ca-file", "x"].as_slice(), "add --tls"),
            (&["--tls", "--tls-cert", "x"], "belong together"),
            (&["--tls", "--tls-cert", "/a", "--tls-key", "/b"], "/a"),
            (
                &[
                    "--tls",
                    "--tls-cert",
                    "x",
                    "--tls-key",
                    "x",
                    "--tls-name",
                    "y",
                ],
                "your own certificate",
            ),
        ] {
            let refused = options(arguments).tls().map(drop).unwrap_err();
            assert!(refused.contains(expected), "{arguments:?}: {refused}");
        }
    }

    fn settled(file: &str, arguments: &[&str]) -> Result<Options, String> {
        let directory = std::env::temp_dir().join("kinesis-emulator-cli");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{:x}.toml", fastrand::u64(..)));
        std::fs::write(&path, file).unwrap();
        let config = path.to_str().unwrap();
        let all = ["kinesis-emulator", "--config", config].into_iter();
        let flags = Flags::try_parse_from(all.chain(arguments.iter().copied())).unwrap();
        let settled = flags.settle();
        std::fs::remove_file(path).unwrap();
        settled
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = "port = 1\nhost = \"127.0.0.2\"\ndelay-create = \"2s\"\n";
        let options = settled(file, &["--port", "2"]).unwrap();
        assert_eq!(options.port, Some(2));
        assert_eq!(options.host.as_deref(), Some("127.0.0.2"));
        assert_eq!(options.region, None);
        let delays = options.settings().unwrap().delays;
        assert_eq!(delays.create, std::time::Duration::from_secs(2));
    }

    #[test]
    fn an_unknown_key_of_the_file_is_refused_by_its_name() {
        let refused = settled("prot = 1\n", &[]).unwrap_err();
        assert!(refused.contains("unknown field `prot`"), "{refused}");
        let refused = settled("delay-create = \"two\"\n", &[]).unwrap_err();
        assert!(refused.contains("delay-create"), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let flags = ["kinesis-emulator", "--config", "/nowhere.toml"];
        let refused = Flags::try_parse_from(flags).unwrap().settle().unwrap_err();
        assert!(refused.contains("/nowhere.toml"), "{refused}");
    }
}
