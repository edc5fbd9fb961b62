use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "openapi": "3.0.3",
        "paths": {"/menu": {
            "get": {"responses": {
                "200": {"content": {
                    "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Dish"}}},
                    "application/xml": {"schema": {"$ref": "#/components/schemas/Dish"}},
                }},
                "404": {"content": {"application/json": {"example": {"message": "no */ such ; menu"}}}},
            }},
            "delete": {"responses": {"204": {"description": "gone"}, "default": {"description": "other"}}},
        }},
        "components": {"schemas": {"Dish": {"type": "object", "properties": {
            "name": {"type": "string", "example": "Margherita & co"},
            "price": {"type": "number"},
            "goesWith": {"$ref": "#/components/schemas/Dish"},
        }}}},
    })
}

fn body<'a>(mock: &'a MockAnswers, status: u16, accepted: &str) -> &'a str {
    &mock.for_call(Some(status), accepted).unwrap().body
}

#[test]
fn a_script_says_what_the_examples_say() {
    let scripts = generate(&document()).unwrap();
    let mut with = document();
    put(&mut with, &scripts);
    assert_eq!(with["paths"]["/menu"]["get"][SCRIPT], scripts[0].content);
    let (of_scripts, of_examples) = (answers(&with).unwrap(), answers(&document()).unwrap());
    let get = &of_scripts["GET /menu"];
    assert_eq!(get.usual, 200);
    let dish: Value = serde_json::from_str(body(get, 200, "")).unwrap();
    assert_eq!((&dish[0]["name"], &dish[0]["price"]), (&json!("Margherita & co"), &json!(0.0)));
    assert!(body(get, 200, "application/xml").starts_with("<Dish><name>Margherita &amp; co</name>"));
    assert_eq!(body(get, 404, ""), body(&of_examples["GET /menu"], 404, ""));
    let delete = &of_scripts["DELETE /menu"];
    assert_eq!((delete.usual, body(delete, 204, "")), (204, ""));
}

#[test]
fn a_script_may_be_changed_by_hand_as_long_as_it_only_answers() {
    let script = generate(&document()).unwrap().swap_remove(0).content;
    let changed = script.replace("Margherita", "Funghi").replace("= 200;", "= 404;").replace("\"200\"", "\"404\"");
    let read = script::read(&changed).unwrap();
    assert_eq!(read.usual, 404);
    assert!(body(&read, 200, "").contains("Funghi"));
    let simple = "/* by hand */ mc.setProperty('CONTENT_TYPE', 'application/json');\nmc.setProperty('HTTP_SC', \
                  '418'); mc.setPayloadJSON('{ \"data\" : \"tea\"}');";
    let read = script::read(simple).unwrap();
    assert_eq!((read.usual, body(&read, 418, "")), (418, "{ \"data\" : \"tea\"}"));
    for (added, told) in [
        ("java.lang.System.exit(1);", "line 1: `java.lang.System.exit(1);`"),
        ("responses[200][\"application/json\"] = {a: 1}", "line 1"),
        ("responses[99][\"application/json\"] = 1", "200 to 599"),
        ("\n\nfor (;;) {}", "line 3"),
        ("mc.setProperty('HTTP_SC', '99')", "line 1"),
    ] {
        let refused = script::read(added).unwrap_err();
        assert!(refused.contains(told), "{added}: {refused}");
    }
}

/// The form that the contract shows for scripts of the original.
#[test]
fn scripts_of_the_original_are_read() {
    let theirs = r#"var accept = "\""+mc.getProperty('AcceptHeader')+"\"";
var responseCode = mc.getProperty('query.param.responseCode');
var responseCodeStr = "\""+responseCode+"\"";
var responses = [];

if (!responses[200]) {
 responses [200] = [];
}
responses[200]["application/json"] =
[ {
  "price" : "string"
} ]

/*if (!responses[304]) {
  responses[304] = [];
}
responses[304]["application/(json or xml)"] = {}/<>*/

responses[501] = [];
responses[501]["application/json"] = {
"code" : 501,
"description" : "Not Implemented"}
responses[501]["application/xml"] = <response><code>501</code><description>Not Implemented</description></response>;

if (!responses[responseCode]) {
 responseCode = 501;
}

if (responseCode == null) {
 responseCode = 200;
 responseCodeStr = "200";
}

if (accept == null || !responses[responseCode][accept]) {
 accept = "application/json";
}

if (accept === "application/json") {
 mc.setProperty('CONTENT_TYPE', 'application/json');
 mc.setProperty('HTTP_SC', responseCodeStr);
 mc.setPayloadJSON(responses[responseCode]["application/json"]);
} else if (accept === "application/xml") {
 mc.setProperty('CONTENT_TYPE', 'application/xml');
 mc.setProperty('HTTP_SC', responseCodeStr);
 mc.setPayloadXML(responses[responseCode]["application/xml"]);
}"#;
    let read = script::read(theirs).unwrap();
    assert_eq!(serde_json::from_str::<Value>(body(&read, 200, "")).unwrap(), json!([{"price": "string"}]));
    assert!(body(&read, 501, "application/xml").starts_with("<response>"));
}

#[test]
fn one_large_example_is_not_made_many_times() {
    let with = |schema: Value, bytes: usize| {
        let responses = json!({"200": {"content": {"application/json": {"schema": schema}}}});
        let paths: serde_json::Map<String, Value> =
            (0..100).map(|number| (format!("/{number}"), json!({"get": {"responses": responses}}))).collect();
        let large = json!({"type": "object", "example": {"text": "x".repeat(bytes)}});
        json!({"openapi": "3.0.3", "paths": paths, "components": {"schemas": {"Large": large}}})
    };
    let large = json!({"$ref": "#/components/schemas/Large"});
    assert!(answers(&with(large.clone(), 1_000)).is_ok());
    let twice = json!({"type": "object", "properties": {"one": large, "two": large}});
    for document in [with(large, 20_000), with(twice, 10_000)] {
        for refused in [answers(&document).map(drop).unwrap_err(), generate(&document).map(drop).unwrap_err()] {
            assert!(refused.to_string().contains("more than 1048576 bytes together"), "{refused}");
        }
    }
}
