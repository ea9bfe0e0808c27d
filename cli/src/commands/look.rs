//! `get`, `describe` and `events`: objects as the API has them, as tables or as they are.

use dugout_api::{Description, Resource, Table};
use serde_json::{Value, json};

use super::{path, resource_named};
use crate::arguments::{
    DescribeArguments, EventsArguments, GetArguments, NamespaceArguments, Output,
};
use crate::client::{Client, Refused, Usage};
use crate::output::{Grid, Paint, complain, print};

/// What to read.
struct Wanted<'a> {
    description: Description,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    query: Vec<(&'static str, String)>,
}

impl<'a> Wanted<'a> {
    /// One thing in a namespace that nobody named is found by listing all namespaces.
    fn new(resource: Resource, namespaces: &'a NamespaceArguments, name: Option<&'a str>) -> Self {
        let description = resource.describe();
        let namespace = namespaces.only();
        let search = name.filter(|_| description.namespaced && namespace.is_none());
        let query = search.map(|name| ("fieldSelector", format!("metadata.name={name}")));
        Self {
            description,
            namespace,
            name: name.filter(|_| search.is_none()),
            query: query.into_iter().collect(),
        }
    }

    fn path(&self) -> Vec<&'a str> {
        path(&self.description, self.namespace, self.name)
    }

    /// The name is looked for in all namespaces.
    fn is_search(&self) -> bool {
        self.query.iter().any(|(key, _)| *key == "fieldSelector")
    }

    async fn table(&self, client: &Client) -> anyhow::Result<Table> {
        client.table(&self.path(), &self.query).await
    }

    /// The object, where one is meant; else the list.
    async fn value(&self, client: &Client) -> anyhow::Result<Value> {
        let mut value: Value = client.get(&self.path(), &self.query).await?;
        if self.is_search()
            && let Some(items) = value["items"].as_array_mut()
            && items.len() == 1
        {
            return Ok(items.remove(0));
        }
        Ok(value)
    }
}

pub async fn get(client: &Client, arguments: GetArguments) -> anyhow::Result<()> {
    let (kind, name) = match (arguments.kind.split_once('/'), &arguments.name) {
        (Some((kind, name)), None) => (kind, Some(name)),
        (Some(_), Some(_)) => return Err(Usage("give KIND/NAME or KIND NAME".to_owned()).into()),
        (None, name) => (arguments.kind.as_str(), name.as_deref()),
    };
    let resource = resource_named(kind)?;
    let mut wanted = Wanted::new(resource, &arguments.namespaces, name);
    if !arguments.selector.is_empty() {
        if name.is_some() {
            return Err(
                Usage("a selector chooses from a list; leave out the name".to_owned()).into()
            );
        }
        wanted.query.push(("labelSelector", arguments.selector.clone()));
    }
    show(client, &wanted, name, arguments.output).await
}

pub async fn events(client: &Client, arguments: EventsArguments) -> anyhow::Result<()> {
    let mut wanted = Wanted::new(Resource::Events, &arguments.namespaces, None);
    wanted.query.push(("limit", arguments.limit.to_string()));
    if arguments.warnings {
        wanted.query.push(("fieldSelector", "type=Warning".to_owned()));
    }
    let value = match arguments.output {
        None | Some(Output::Wide) => {
            let table = wanted.table(client).await?;
            let wide = arguments.output == Some(Output::Wide);
            return print_table(&table, wide, arguments.namespaces.only().is_none(), "events");
        }
        Some(_) => wanted.value(client).await?,
    };
    print_value(&value, arguments.output)
}

pub async fn describe(client: &Client, arguments: DescribeArguments) -> anyhow::Result<()> {
    let resource = resource_named(&arguments.kind)?;
    let wanted = Wanted::new(resource, &arguments.namespaces, Some(&arguments.name));
    let value = wanted.value(client).await?;
    let objects = match value["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![value],
    };
    if objects.is_empty() {
        return Err(not_found(&wanted.description, &arguments.name).into());
    }
    for object in &objects {
        print(&to_yaml(object)?)?;
        let namespace = object["metadata"]["namespace"].as_str();
        let about = format!(
            "involvedObject.kind={},involvedObject.name={}",
            wanted.description.kind, arguments.name
        );
        let events = Resource::Events.describe();
        let query = [("fieldSelector", about)];
        let table = client.table(&path(&events, namespace, None), &query).await?;
        print("\nEvents:\n")?;
        print_table(&table, false, false, "events")?;
    }
    Ok(())
}

async fn show(
    client: &Client,
    wanted: &Wanted<'_>,
    name: Option<&str>,
    output: Option<Output>,
) -> anyhow::Result<()> {
    match output {
        None | Some(Output::Wide) => {
            let table = wanted.table(client).await?;
            if let Some(name) = name.filter(|_| table.rows.is_empty()) {
                return Err(not_found(&wanted.description, name).into());
            }
            let all = wanted.description.namespaced && wanted.namespace.is_none();
            print_table(&table, output == Some(Output::Wide), all, wanted.description.plural)
        }
        Some(_) => {
            let value = wanted.value(client).await?;
            if let Some(name) = name
                && value["items"].as_array().is_some_and(Vec::is_empty)
            {
                return Err(not_found(&wanted.description, name).into());
            }
            print_value(&value, output)
        }
    }
}

fn not_found(description: &Description, name: &str) -> Refused {
    Refused { code: 404, message: format!("{} \"{name}\" not found", description.plural) }
}

/// Prints an object or a list in the form that was asked for.
pub(super) fn print_value(value: &Value, output: Option<Output>) -> anyhow::Result<()> {
    let text = match output {
        Some(Output::Yaml) => to_yaml(value)?,
        Some(Output::Name) => names(value),
        None | Some(Output::Json | Output::Wide) => serde_json::to_string_pretty(value)? + "\n",
    };
    Ok(print(&text)?)
}

/// `pod/web-1`, one per line, as `kubectl -o name` has them.
fn names(value: &Value) -> String {
    let single = [value.clone()];
    let items = value["items"].as_array().map_or(&single[..], Vec::as_slice);
    let list_kind = value["kind"].as_str().and_then(|kind| kind.strip_suffix("List"));
    items
        .iter()
        .map(|item| {
            let kind = item["kind"].as_str().or(list_kind).unwrap_or_default().to_ascii_lowercase();
            let group = item["apiVersion"].as_str().and_then(|version| version.split_once('/'));
            let group = group.map(|(group, _)| format!(".{group}")).unwrap_or_default();
            format!("{kind}{group}/{}\n", item["metadata"]["name"].as_str().unwrap_or_default())
        })
        .collect()
}

fn to_yaml(value: &Value) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(value)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

fn print_table(table: &Table, wide: bool, all_namespaces: bool, what: &str) -> anyhow::Result<()> {
    if table.rows.is_empty() {
        // Not on standard output, where a program would take it for a row.
        complain!("No {what} found.");
        return Ok(());
    }
    let shown: Vec<usize> = (0..table.column_definitions.len())
        .filter(|index| wide || table.column_definitions[*index].priority == 0)
        .collect();
    let mut header: Vec<String> =
        shown.iter().map(|index| table.column_definitions[*index].name.to_uppercase()).collect();
    if all_namespaces {
        header.insert(0, "NAMESPACE".to_owned());
    }
    let mut grid = Grid::new(header);
    for row in &table.rows {
        let mut cells: Vec<String> =
            shown.iter().map(|index| cell(row.cells.get(*index).unwrap_or(&json!("")))).collect();
        if all_namespaces {
            let namespace = row.object["metadata"]["namespace"].as_str().unwrap_or("");
            cells.insert(0, namespace.to_owned());
        }
        grid.row(cells);
    }
    Ok(print(&grid.render(Paint::for_stdout()))?)
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_kind_and_group() {
        let list = json!({"kind": "DeploymentList", "items": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}},
        ]});
        assert_eq!(names(&list), "deployment.apps/web\n");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}});
        assert_eq!(names(&pod), "pod/web-1\n");
    }

    #[test]
    fn yaml_keeps_texts_apart_from_numbers_and_truth_values() {
        let value =
            json!({"a": "true", "b": "1", "c": "no", "d": 1, "e": "2026-01-01", "f": "a: b"});
        let text = to_yaml(&value).expect("YAML");
        let back: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(back, value, "{text}");
        assert!(!text.contains("c: no\n"), "YAML 1.1 readers take it for false: {text}");
    }
}
