//! Answers in XML: EC2's own protocol, and Query for IAM and STS.

use std::fmt::Display;

/// An answer that is being written.
#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    /// An element with a text.
    pub fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.open(name);
        escape(&mut self.0, &value.to_string());
        self.close(name)
    }

    /// An element with a text, if there is one.
    pub fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// An element that contains others.
    pub fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        inside(self);
        self.close(name)
    }

    /// A list, of which each item is an element of this name.
    pub fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        all: impl IntoIterator<Item = T>,
        inside: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.open(name);
        for one in all {
            self.element(item, |xml| inside(xml, one));
        }
        self.close(name)
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &str, item: &str, all: impl IntoIterator<Item = impl Display>) -> &mut Self {
        self.open(name);
        for one in all {
            self.text(item, one);
        }
        self.close(name)
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }
}

fn escape(to: &mut String, text: &str) {
    if !text.contains(['&', '<', '>']) {
        to.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            c => to.push(c),
        }
    }
}

/// An answer of EC2.
pub(super) fn ec2_answer(operation: &str, inside: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::default();
    xml.element(&format!("{operation}Response"), |xml| {
        xml.text("requestId", operation);
        inside(xml);
    });
    xml.0
}

/// An answer of IAM or STS.
pub(super) fn query_answer(operation: &str, inside: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::default();
    xml.element(&format!("{operation}Response"), |xml| {
        xml.element(&format!("{operation}Result"), inside);
        xml.element("ResponseMetadata", |xml| {
            xml.text("RequestId", operation);
        });
    });
    xml.0
}

pub(super) fn ec2_error(code: &str, message: &str) -> String {
    let mut xml = Xml::default();
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", code).text("Message", message);
            });
        });
        xml.text("RequestID", "refused");
    });
    xml.0
}

pub(super) fn query_error(code: &str, message: &str) -> String {
    let mut xml = Xml::default();
    xml.element("ErrorResponse", |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", "Sender").text("Code", code).text("Message", message);
        });
        xml.text("RequestId", "refused");
    });
    xml.0
}
