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
