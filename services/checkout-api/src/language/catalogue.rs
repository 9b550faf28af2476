//! The catalogues, in Project Fluent's format, compiled into the program.

use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use super::Language;

type Catalogue = FluentBundle<FluentResource>;

const KOREAN: &str = include_str!("../../locales/ko.ftl");
const ENGLISH: &str = include_str!("../../locales/en.ftl");

impl Language {
    /// The message of that key.
    pub(crate) fn say(self, key: &'static str) -> Text {
        Text { language: self, key, arguments: FluentArgs::new() }
    }

    fn catalogue(self) -> &'static Catalogue {
        static CATALOGUES: LazyLock<[Catalogue; 2]> =
            LazyLock::new(|| [open(Language::Korean, KOREAN), open(Language::English, ENGLISH)]);
        match self {
            Self::Korean => &CATALOGUES[0],
            Self::English => &CATALOGUES[1],
        }
    }
}

fn open(language: Language, text: &str) -> Catalogue {
    let mut catalogue = Catalogue::new_concurrent(language.tag().parse().into_iter().collect());
    // Both languages run from left to right: what is put into a text needs no marks around it.
    catalogue.set_use_isolating(false);
    // A message that cannot be read is left out here, and named by the test below.
    catalogue.add_resource_overriding(FluentResource::try_new(text.to_owned()).unwrap_or_else(|(rest, _)| rest));
    catalogue
}

/// A message, and what is put into it. A key that no catalogue has is shown as it is.
#[derive(Debug)]
pub(crate) struct Text {
    language: Language,
    key: &'static str,
    arguments: FluentArgs<'static>,
}

impl Text {
    /// Puts a value into the message.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<FluentValue<'static>>) -> Self {
        self.arguments.set(name, value);
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let catalogue = self.language.catalogue();
        match catalogue.get_message(self.key).and_then(|message| message.value()) {
            // What is missing stays in the text as `{$name}`.
            Some(message) => catalogue.write_pattern(out, message, Some(&self.arguments), &mut Vec::new()),
            None => out.write_str(self.key),
        }
    }
}

#[cfg(test)]
mod tests;
