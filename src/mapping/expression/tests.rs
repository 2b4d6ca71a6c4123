//! What expressions give, and what is said of those that can't be used.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn run(text: &str, cells: &Value) -> Result<Value, String> {
    let expression = Expression::compile(text).expect("it compiles");
    let cell = |name: &str| cells.get(name);
    expression.evaluate(&Scope::new(&cell, "2026-11-22"))
}

#[test]
fn columns_the_date_and_the_extensions_are_at_hand() {
    let cells = json!({
        "email": " Ann@Acme.com ", "First Name": "Ann", "name.first": "Anna", "age": 41, "tags": ["b", "a"],
        "leaves": "2026-11-30", "absent": null, "today": "a column", "ratio": 0.5, "home": {"city": "Bern"},
    });
    for (text, expected) in [
        ("email.trim().lowerAscii()", json!("ann@acme.com")),
        ("row[\"First Name\"] + '!'", json!("Ann!")),
        ("row.email.trim()", json!("Ann@Acme.com")),
        ("name.first", json!("Anna")),
        ("row.name.first", json!("Anna")),
        ("age + 1", json!(42)),
        ("ratio * 2.0", json!(1.0)),
        ("leaves > today", json!(true)),
        ("row[\"today\"]", json!("a column")),
        ("absent == ''", json!(true)),
        ("tags.sort().join('-')", json!("a-b")),
        ("tags.map(t, t + '1')", json!(["b1", "a1"])),
        ("math.greatest(age, 7)", json!(41)),
        ("home.city", json!(null)),
        ("row['home'].city", json!("Bern")),
        ("'%s'.format([email.trim()])", json!("Ann@Acme.com")),
        ("int('7') < 8 ? 'low' : 'high'", json!("low")),
    ] {
        if text == "home.city" {
            // A dotted name is one column: nested fields of a JSON source are flattened by path.
            assert_eq!(Expression::compile(text).expect("compiles").columns(), ["home.city"]);
            continue;
        }
        assert_eq!(run(text, &cells), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_compared_with_today_must_be_a_date_wherever_it_stands() {
    let of = |text: &str, end: &str| {
        let dates = json!(["2020-01-01", end]);
        run(text, &json!({ "end_date": end, "End Date": end, "dates": dates, "status": "active", "no": "" }))
    };
    let everywhere = [
        "end_date >= today",
        "today <= end_date",
        "end_date > today",
        "end_date < today",
        "today == end_date",
        "end_date != today",
        "row[\"End Date\"] >= today",
        "row.end_date >= today",
        "!(end_date < today)",
        "status == \"active\" && end_date >= today",
        "end_date >= today && status == \"active\"",
        "end_date >= today ? \"a\" : \"b\"",
        "(status == \"active\" ? end_date : \"2030-01-01\") >= today",
        "(status == \"left\" ? end_date : today) <= end_date",
        "end_date.trim() >= today",
        "dates.exists(d, d >= today)",
        "dates.all(d, d <= today)",
        "dates.filter(d, d >= today).size() > 0",
        "[end_date].exists(d, today <= d)",
        "[today].all(t, t <= end_date)",
        "today in dates",
        "end_date in [\"2020-01-01\", today]",
        "end_date == \"\" && no == \"x\" || end_date >= today",
    ];
    for text in everywhere {
        for bad in ["1/31/2027", "31.01.2027", "", "2027-1-31", "20270131", "2027-02-30"] {
            let error = of(text, bad).expect_err(&format!("{text} of {bad:?}"));
            assert!(error.contains("today can be compared with a date alone"), "{text}: {error}");
            assert!(bad.is_empty() || !error.replace("2027-01-31", "").contains(bad), "{error}");
        }
        of(text, "2026-11-22").unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    for (text, end, expected) in [
        ("end_date >= today", "2026-11-22", true),
        ("end_date >= today", "2026-11-22T00:00:00+05:00", true),
        ("end_date == today", "2026-11-22 23:59", true),
        ("end_date > today", "2026-11-22T10:00:00Z", false),
        ("end_date < today", " 2026-11-21 ", true),
        ("end_date != today", "2026-11-23", true),
        ("today in dates", "2026-11-22T00:00", true),
        ("dates.exists(d, d >= today)", "2026-11-21", false),
        ("end_date == \"\" || end_date >= today", "", true),
        ("end_date >= today || end_date == \"\"", "", true),
        ("end_date == \"\" || end_date >= today", "2026-11-21", false),
        ("end_date != \"\" && end_date < today", "", false),
        ("end_date < today && end_date != \"\"", "", false),
        ("end_date == \"\" ? true : end_date >= today", "", true),
    ] {
        assert_eq!(of(text, end), Ok(json!(expected)), "{text} of {end:?}");
    }
    let number = run("end_date >= today", &json!({ "end_date": 20270131 })).expect_err("a number");
    assert!(number.contains("column end_date is no text"), "{number}");
    let told = of("row[\"End Date\"] >= today", "").expect_err("empty");
    assert!(told.contains("column End Date is empty") && told.contains("row[\"End Date\"] == \"\" || …"), "{told}");
    for text in ["today < '2027-1-31'", "today == ''", "today > 20270131", "today in ['x']"] {
        let problems = Expression::compile(text).expect_err(text);
        assert!(problems[0].message.contains("no date"), "{text}: {problems:?}");
    }
    assert_eq!(Expression::compile("end_date >= today").expect("compiles").columns(), ["end_date"]);
}

#[test]
fn references_are_columns_and_nothing_else() {
    for (text, columns, today) in [
        ("status == 'active' && end >= today", &["end", "status"][..], true),
        ("tags.exists(t, t == team)", &["tags", "team"], false),
        ("math.least(a, b)", &["a", "b"], false),
        ("type(a) == string", &["a"], false),
        ("row['First Name'] + row.last", &["First Name", "last"], false),
        ("people.map(p, p.name.first)", &["people"], false),
        ("tags.sortBy(t, t.size())", &["tags"], false),
        ("'constant'", &[], false),
    ] {
        let expression = Expression::compile(text).expect(text);
        assert_eq!(expression.columns(), columns, "{text}");
        assert_eq!(expression.uses_today(), today, "{text}");
    }
}

#[test]
fn mistakes_are_found_when_compiling_and_named() {
    for (text, expected, help) in [
        ("", "empty", None),
        ("email.trim(", "column", None),
        ("status = 'active'", "column 8", Some("==")),
        ("status == 'a' and x", "column", Some("&&")),
        ("email.lower()", "lower()", Some("lowerAscii")),
        ("lenght(email)", "lenght()", Some("size")),
        ("math.maximum(1, 2)", "math.maximum()", Some("math.greatest")),
        ("'abc", "a quote is not closed", None),
        ("x ? y", "column", None),
        ("row[email]", "row[", Some("First Name")),
        ("row == ''", "row", Some("row[")),
        ("email.matches('[')", "regular expression", None),
        ("Person{name: 'x'}", "Person", None),
        ("has(row.email)", "has()", Some("!= \"\"")),
        ("Work Email.trim()", "Email", Some("row[\"Work Email\"]")),
        ("status == 'New Hire' && Cost Center Name != ''", "column", Some("row[\"Cost Center Name\"]")),
        ("\"Work Email\".trim()", "constant", Some("row[\"Work Email\"]")),
        ("'Work Email'.trim().lowerAscii()", "constant", Some("row[\"Work Email\"]")),
        ("\"Status\" == \"active\"", "constant", Some("row[\"Status\"]")),
        ("'a b'.size() > 3", "constant", Some("row[\"a b\"]")),
    ] {
        let problems = Expression::compile(text).err().unwrap_or_else(|| panic!("{text} compiled"));
        assert!(problems[0].message.contains(expected), "{text}: {problems:?}");
        if let Some(help) = help {
            assert!(problems[0].help.as_deref().unwrap_or_default().contains(help), "{text}: {problems:?}");
        }
    }
    assert!(Expression::compile("a.map(x, b.map(y, c.map(z, z)))").is_ok(), "three deep");
}

#[test]
fn errors_of_an_evaluation_hold_no_value() {
    let cells = json!({"secret": "hunter2", "list": ["hunter2"], "n": 1});
    for text in [
        "int(secret)",
        "secret + n",
        "secret < n",
        "-secret",
        "list[7]",
        "{'a': 1}[secret]",
        "secret.substring(0, 900)",
        "timestamp(secret)",
        "duration(secret)",
        "n / 0",
        "n % 0",
        "secret ? 1 : 2",
        "secret && true",
        "!secret",
        "secret.all(c, c)",
        "secret.charAt(99)",
        "{secret: 1, 'hunter2': 2}",
        "b'hunter2'",
        "secret in n",
        "9223372036854775807 + n",
        "'x'.matches(secret + '[')",
        "list.map(x, int(x))",
        "secret.nothing",
        "secret[0]",
        "'%d'.format([secret])",
    ] {
        let error = run(text, &cells).expect_err(text);
        assert!(!error.contains("hunter2"), "{text}: {error}");
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn no_text_makes_the_compiler_panic(text in "\\PC{0,40}") {
        let _ = Expression::compile(&text);
    }

    #[test]
    fn no_mix_of_tokens_makes_compiling_or_evaluating_panic(
        tokens in proptest::collection::vec(proptest::sample::select(vec![
            "a", "row", "today", "[", "]", "(", ")", "{", "}", ".", ",", "'x'", "1", "-1", "0.5", "==", "+", "-",
            "?", ":", "&&", "||", "!", "in", "size", "map", "trim", "substring", "has", "math", "least", "null",
        ]), 1..12),
    ) {
        let text = tokens.join(" ");
        if let Ok(expression) = Expression::compile(&text) {
            let cells = json!({"a": "text"});
            let cell = |name: &str| cells.get(name);
            let _ = expression.evaluate(&Scope::new(&cell, "2026-11-22"));
        }
    }
}
