//! What a case is: the rows of the index that it is about, its name, and a story that panics if it does not hold.

use std::pin::Pin;

use libtest_mimic::Trial;

type Story = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

pub(crate) struct Case {
    pub(crate) rows: &'static [&'static str],
    pub(crate) name: String,
    story: Story,
}

impl Case {
    /// The name is a sentence, in words or as the name of a function.
    pub(crate) fn new<F: Future<Output = ()> + 'static>(
        rows: &'static [&'static str],
        name: &str,
        story: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self {
            rows,
            name: name.replace('_', " "),
            story: Box::new(|| Box::pin(story())),
        }
    }

    /// What the harness calls it, so that it can be asked for by its rows.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.rows.join(", "), self.name)
    }

    /// Told in paused time.
    pub(crate) fn into_trial(self) -> Trial {
        let title = self.title();
        Trial::test(title, move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()?;
            runtime.block_on((self.story)());
            Ok(())
        })
    }
}

/// The case of this name, about these rows: `case!(["6.1 BatchSize"], a_batch_has_at_most_its_size)`.
macro_rules! case {
    ($rows:expr, $story:ident) => {
        $crate::suite::Case::new(&$rows, stringify!($story), $story)
    };
}
pub(crate) use case;
