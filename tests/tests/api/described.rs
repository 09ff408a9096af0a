//! The operations of the API, as its own description tells them.

use http::Method;
use serde_json::Value;

use crate::world::World;

pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With its parameters in braces.
    pub(crate) path: String,
    /// What the key must have; `None`: it is asked without a key, or need not have one.
    pub(crate) scope: Option<String>,
    pub(crate) value: Value,
    document: Value,
}

impl World {
    pub(crate) async fn description(&self) -> Value {
        self.get_as("none", "/v1/openapi.json").await.json()
    }

    pub(crate) async fn operations(&self) -> Vec<Operation> {
        let document = self.description().await;
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, value) in item.as_object().expect("operations") {
                let scopes = value["security"].as_array().into_iter().flatten();
                let mut scopes = scopes.filter_map(|one| one["bearer"][0].as_str());
                all.push(Operation {
                    method: method.to_uppercase().parse().expect("a method"),
                    path: path.clone(),
                    scope: scopes.next().map(str::to_owned),
                    value: value.clone(),
                    document: document.clone(),
                });
            }
        }
        assert!(all.len() > 25, "{} operations", all.len());
        all
    }
}

impl Operation {
    /// With something plausible in place of its parameters.
    pub(crate) fn address(&self) -> String {
        let mut path = self.path.clone();
        let mut query = Vec::new();
        for parameter in self.parameters() {
            let name = parameter["name"].as_str().expect("a name");
            let value = self.plausible(&parameter);
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") if parameter["required"] == true => query.push(format!("{name}={value}")),
                _ => {}
            }
        }
        assert!(!path.contains('{'), "a parameter of {} is not described", self.path);
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    pub(crate) fn parameters(&self) -> Vec<Value> {
        let parameters = self.value["parameters"].as_array().into_iter().flatten();
        parameters.map(|one| self.resolved(one).clone()).collect()
    }

    /// The kinds of bodies that it takes.
    pub(crate) fn body_kinds(&self) -> Vec<String> {
        let kinds = self.value["requestBody"]["content"].as_object();
        kinds.map(|kinds| kinds.keys().cloned().collect()).unwrap_or_default()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str().and_then(|address| self.document.pointer(address.strip_prefix('#')?)) {
            Some(found) => found,
            None => value,
        }
    }

    fn plausible(&self, parameter: &Value) -> String {
        let schema = self.resolved(&parameter["schema"]);
        let name = parameter["name"].as_str().unwrap_or_default();
        if let Some(pattern) = schema["pattern"].as_str() {
            let prefix = pattern.trim_start_matches('^').split('_').next().unwrap_or_default();
            return format!("{prefix}_{}", "0".repeat(26));
        }
        if let Some(word) = schema["enum"][0].as_str() {
            return word.to_owned();
        }
        match name {
            "hostname" | "domain" | "server_name" => "www.example.com".to_owned(),
            _ if schema["type"] == "integer" => "1".to_owned(),
            _ => "x".to_owned(),
        }
    }
}
