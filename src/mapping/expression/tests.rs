//! What expressions give, and what is said of those that can't be used.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn run(text: &str, cells: &Value) -> Result<Value, String> {
    let expression = Expression::compile(text).expect("it compiles");
    let cell = |name: &str| cells.get(name);
    expression.evaluate(&Scope::new(&cell, LocalTime::noon("2026-11-22")))
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
        assert_eq!(expression.uses().today, today, "{text}");
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
            let _ = expression.evaluate(&Scope::new(&cell, LocalTime::noon("2026-11-22")));
        }
    }
}

fn at(text: &str, zone: chrono_tz::Tz) -> LocalTime {
    LocalTime::new(text.parse().expect("a time"), zone)
}

/// What an expression gives at 18:30 in Zurich on 22 November 2026.
fn evening(text: &str, cells: &Value) -> Result<Value, String> {
    let expression = Expression::compile(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let cell = |name: &str| cells.get(name);
    expression.evaluate(&Scope::new(&cell, at("2026-11-22T17:30:00Z", chrono_tz::Europe::Zurich)))
}

#[test]
fn dates_are_read_in_the_notation_that_is_named() {
    let cells = json!({ "Hire Date": " 31.12.2026 ", "d": "12/31/2026", "iso": "2026-12-31T23:30:00+01:00", "name": "31 Dec 2026" });
    for (text, expected) in [
        ("date(row['Hire Date'], '%d.%m.%Y')", json!("2026-12-31")),
        ("date(d, '%m/%d/%Y')", json!("2026-12-31")),
        ("date('1.2.27', '%d.%m.%y')", json!("2027-02-01")),
        ("date('20261231', '%Y%m%d')", json!("2026-12-31")),
        ("date(name, '%d %b %Y')", json!("2026-12-31")),
        ("date('31.12.2026 08:15', '%d.%m.%Y %H:%M')", json!("2026-12-31")),
        ("date(iso)", json!("2026-12-31")),
        ("date(datetime(iso))", json!("2026-12-31")),
        ("date(row['Hire Date'], '%d.%m.%Y') > today", json!(true)),
        ("date(d, '%m/%d/%Y') == '2026-12-31'", json!(true)),
        ("date(d, '%m/%d/%Y') in ['2026-12-31']", json!(true)),
        ("[d].exists(x, date(x, '%m/%d/%Y') > today)", json!(true)),
        ("datetime(row['Hire Date'], '%d.%m.%Y')", json!("2026-12-31T00:00:00+01:00")),
        ("datetime('1.7.2027 18:00', '%d.%m.%Y %H:%M')", json!("2027-07-01T18:00:00+02:00")),
        ("datetime('2027-07-01T18:00:00-05:00')", json!("2027-07-01T18:00:00-05:00")),
        ("datetime('01.07.2027 18:00 +0000', '%d.%m.%Y %H:%M %z')", json!("2027-07-01T18:00:00Z")),
        ("datetime(iso) - duration('24h')", json!("2026-12-30T23:30:00+01:00")),
        ("datetime(iso).getFullYear()", json!(2026)),
    ] {
        assert_eq!(evening(text, &cells), Ok(expected), "{text}");
    }
}

#[test]
fn now_is_a_time_in_the_zone_of_the_sync() {
    let until = json!({ "last_day": "22.11.2026", "end": "2026-11-22", "stamp": "2026-11-22T17:30:01Z", "empty": "" });
    for (text, expected) in [
        ("string(now)", json!("2026-11-22T17:30:00Z")),
        ("now", json!("2026-11-22T18:30:00+01:00")),
        ("now < datetime(last_day + ' 18:00', '%d.%m.%Y %H:%M')", json!(false)),
        ("now < datetime(last_day + ' 18:31', '%d.%m.%Y %H:%M')", json!(true)),
        ("now > end", json!(false)),
        ("now >= end", json!(true)),
        ("now <= end", json!(true)),
        ("now == end", json!(true)),
        ("now < end", json!(false)),
        ("end < now", json!(false)),
        ("now in [end]", json!(true)),
        ("now > datetime(end)", json!(true)),
        ("now < stamp", json!(true)),
        ("stamp > now", json!(true)),
        ("now < '2026-11-22T18:31'", json!(true)),
        ("empty == '' || empty > now", json!(true)),
        ("now >= today", json!(true)),
        ("today == now", json!(true)),
        ("datetime(stamp) - now == duration('1s')", json!(true)),
        ("now - duration('24h') < end", json!(true)),
        ("now + duration('6h') > end", json!(true)),
        ("row['now'] == ''", json!(false)),
    ] {
        if text.starts_with("row") {
            assert_eq!(evening(text, &json!({ "now": "a column" })), Ok(expected), "{text}");
            continue;
        }
        assert_eq!(evening(text, &until), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_date_is_told_with_the_way_to_write_it() {
    let cells = json!({ "Hire Date": "31.12.2026", "empty": " ", "word": "soon" });
    for (text, parts) in [
        (
            "date(row['Hire Date'])",
            ["column Hire Date is not written as 2027-01-31", "date(row[\"Hire Date\"], \"%d.%m.%Y\")"],
        ),
        ("row['Hire Date'] > today", ["holds a text that is no date", "date(row[\"Hire Date\"], \"%d.%m.%Y\")"]),
        ("date(empty)", ["column empty is empty", "empty == \"\" || …"]),
        ("date(word.trim(), '%d.%m.%Y')", ["column word holds no date of the format", "word == \"\" || …"]),
        ("now < word", ["column word holds a text that is no time", "datetime(word, \"%d.%m.%Y %H:%M\")"]),
        ("date('31.02.2026', '%d.%m.%Y')", ["its text holds no date", "%d.%m.%Y"]),
        ("date('31.12.26', '%d.%m.%Y')", ["its text holds no date", "%d.%m.%Y"]),
        ("date('31.12.202', '%d.%m.%Y')", ["its text holds no date", "%d.%m.%Y"]),
        ("date('2026123', '%Y%m%d')", ["its text holds no date", "%Y%m%d"]),
        ("datetime('31.12.26 18:00', '%d.%m.%Y %H:%M')", ["its text holds no date", "%d.%m.%Y %H:%M"]),
    ] {
        let told = evening(text, &cells).expect_err(text);
        assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
        assert!(!told.contains("soon"), "no value: {told}");
    }
    for (text, parts) in [
        ("date(hired, 'dd.MM.yyyy')", ["has no part that begins with %", "%d.%m.%Y"]),
        ("date(hired, '%d.%m')", ["day, month and year", "%d.%m.%Y"]),
        ("date(hired, '%d.%m.%Q')", ["has a part that is not known", "%d.%m.%Y"]),
        ("datetime(hired, '%H:%M')", ["day, month and year", "%d.%m.%Y"]),
        ("date()", ["date() takes a text", "date(hire_date)"]),
        ("date(a, b, c)", ["date() takes a text", "%d.%m.%Y"]),
        ("parseDate(hired)", ["no function parseDate()", "`date()`"]),
        ("now < 'soon'", ["is no time", "2027-01-31T18:00"]),
        ("today < '31.12.2026'", ["is no date", "date(\"31.01.2027\""]),
    ] {
        let problems = Expression::compile(text).expect_err(text);
        let told = format!("{} / {}", problems[0].message, problems[0].help.clone().unwrap_or_default());
        assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
    }
}

#[test]
fn what_an_expression_asks_of_the_time_is_what_its_result_depends_on() {
    let uses = |text: &str| Expression::compile(text).expect(text).uses();
    let none = TimeUse::default();
    assert_eq!(uses("end == ''"), none);
    assert_eq!(uses("date(end, '%d.%m.%Y') == end"), none);
    assert_eq!(uses("end > today"), TimeUse { today: true, ..none });
    assert_eq!(uses("string(datetime(end)) == ''"), TimeUse { zone: true, ..none });
    assert!(uses("end > now").now);
    let time = at("2026-11-22T17:30:00Z", chrono_tz::Europe::Zurich);
    assert_eq!(none.spelled(time), "");
    assert_eq!(TimeUse { today: true, ..none }.spelled(time), "2026-11-22", "as fingerprints have always been made");
    assert_eq!(TimeUse { zone: true, ..none }.spelled(time), "Europe/Zurich");
    assert_eq!(uses("end > now").spelled(time), "2026-11-22T18:30:00+01:00 Europe/Zurich");
}
