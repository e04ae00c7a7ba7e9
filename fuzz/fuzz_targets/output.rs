//! Any text as an output template: refused, or rendered.
#![no_main]
use engine::{output::Template, testing::MapEvent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(template) = Template::parse(text) {
        let event = MapEvent::default();
        let _ = template.render(&event);
        assert!(template.values(&event).len() <= template.fields().len());
    }
});
