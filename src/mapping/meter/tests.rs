use crate::domain::local_time::LocalTime;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::expression::{Expression, Problem, Scope};

/// Runs on a stack of the size of a worker's.
fn on_a_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work).expect("a thread");
    worker.join().expect("it does not overflow")
}

fn run(text: &str, cells: &Value) -> Result<Value, String> {
    let expression = Expression::compile(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let cell = |name: &str| cells.get(name);
    expression.evaluate(&Scope::new(&cell, LocalTime::noon("2026-11-22")))
}

fn refused(text: &str) -> Problem {
    Expression::compile(text).expect_err(&text[..text.len().min(40)]).remove(0)
}

#[test]
fn long_chains_are_evaluated_on_a_workers_stack() {
    on_a_worker(|| {
        let a = json!({"a": "a", "n": 1, "s": "x7"});
        let cases = [
            (vec!["a"; 900].join(" + "), json!("a".repeat(900))),
            (vec!["n"; 900].join(" + "), json!(900)),
            (format!("n{}", " - n".repeat(900)), json!(-899)),
            (
                format!("{}'none'", (0..400).map(|i| format!("s == 'x{i}' ? 'y{i}' : ")).collect::<String>()),
                json!("y7"),
            ),
            (format!("a{}", ".replace('b', 'c')".repeat(300)), json!("a")),
            (format!("a{}", ".trim()".repeat(900)), json!("a")),
            ((0..900).map(|i| format!("s == 'x{i}'")).collect::<Vec<_>>().join(" || "), json!(true)),
            ((0..900).map(|i| format!("s != 'y{i}'")).collect::<Vec<_>>().join(" && "), json!(true)),
            (format!("{}a{}", "(".repeat(64), ")".repeat(64)), json!("a")),
            (format!("{}n == 1", "!".repeat(64)), json!(true)),
            (format!("size({}a{})", "[".repeat(60), "]".repeat(60)), json!(1)),
            (format!("s in [{}]", (0..4_000).map(|i| format!("'x{i}',")).collect::<String>()), json!(true)),
        ];
        for (text, expected) in cases {
            assert_eq!(run(&text, &a), Ok(expected), "{}", &text[..40]);
        }
        // The same where the input is large, and every call asks first.
        let long = json!({"a": "xx", "n": "y".repeat(600_000)});
        let joined = run(&format!("n == '' ? '' : {}", vec!["a"; 900].join(" + ")), &long);
        assert_eq!(joined, Ok(json!("x".repeat(2 * 900))));
    });
}

#[test]
fn what_would_overflow_the_stack_is_refused_with_place_and_remedy() {
    on_a_worker(|| {
        for (text, told) in [
            (vec!["a"; 2_000].join(" + "), "a chain of 2000 operators or calls, and 1000 are admitted"),
            (vec!["a"; 8_000].join(" + "), "more than 4000 operators"),
            (vec!["a"; 30_000].join("-"), "more than 4000 operators"),
            (format!("a{}", ".b".repeat(3_000)), "chain"),
            (format!("a{}", "[0]".repeat(3_000)), "chain"),
            (format!("a{}", ".trim()".repeat(1_500)), "chain"),
            ("a ? b : ".repeat(3_000) + "c", "chain"),
            ("!".repeat(20_000) + "a", "nests more than 64 deep at column"),
            ("-".repeat(20_000) + "a", "nests more than 64 deep at column"),
            ("(".repeat(20_000), "nests more than 64 deep at column"),
            ("[".repeat(65) + &"]".repeat(65), "nests more than 64 deep at column 65"),
            ("{1:".repeat(20_000), "nests more than 64 deep at column"),
            ("f(".repeat(20_000), "nests more than 64 deep at column"),
            ("l.map(x, ".repeat(5_000), "nests more than 64 deep at column"),
            (format!("a == '{}'", "x".repeat(70_000)), "70007 bytes, and 65536 are admitted"),
        ] {
            let problem = refused(&text);
            assert!(problem.message.contains(told), "{} … {problem:?}", &text[..20]);
            assert!(problem.help.is_some(), "{problem:?}");
        }
    });
}

#[test]
fn what_takes_too_many_steps_or_makes_too_much_is_refused_while_evaluating_and_soon() {
    let cells = json!({
        "t": "a".repeat(20_000), "mb": "a".repeat(900_000), "title": "Head of Everything and more of it",
        "l": (0..1_000).map(|i| format!("item {i}")).collect::<Vec<_>>(), "pattern": "(a+)+$", "n": 1_000_000_000_i64,
        "wide": "\\w{200}".repeat(3), "half": "a".repeat(450_000),
    });
    let (steps, large) = ("more than 1000000 steps", "larger than 1 MB");
    for (text, told) in [
        ("t.split('').map(x, t.split('').map(y, x + y)).size()", steps),
        ("t.split('').exists(x, t.split('').exists(y, x + y == 'b'))", steps),
        ("t.split('').exists(x, t.split('').exists(y, x + y == 'b')) || true", steps),
        ("true || t.split('').exists(x, t.split('').exists(y, x + y == 'b'))", ""),
        ("l.map(a, l.map(b, l.map(c, 1)))", steps),
        ("l.all(a, l.all(b, l.all(c, true)))", steps),
        ("l.filter(a, l.exists_one(b, l.exists_one(c, a == b)))", steps),
        ("l.sortBy(a, l.map(b, l.map(c, 1)).size())", steps),
        ("l.map(a, mb + a).size()", steps),
        ("mb.replace('a', title)", large),
        ("mb.replace('', title)", large),
        ("mb.replace('a', title, 500000)", large),
        ("half + half + half", large),
        ("[mb, mb, mb, mb, mb, mb, mb, mb, mb, mb, mb, mb, mb].size()", steps),
        ("{'a': mb, 'b': mb}", large),
        ("mb.split('').join(title)", large),
        ("t.split('').join(mb)", large),
        ("mb.split('')", large),
        ("[mb, mb].join()", large),
        ("'%s%s'.format([mb, mb])", large),
        ("'%x'.format([mb])", large),
        ("strings.quote(mb.replace('a', '\"')).size()", large),
        ("lists.range(1000000)", large),
        ("lists.range(n)", large),
        ("lists.range(1000).map(x, lists.range(1000))", steps),
        ("mb.indexOf(half + 'b')", steps),
        ("mb.lastIndexOf(half + 'b')", steps),
        ("lists.range(60000).distinct()", steps),
        ("mb.matches(wide)", steps),
        ("l.map(x, 'a'.matches(x + '\\\\w{10}'))", steps),
        ("lists.range(60000).map(x, mb.contains('b'))", steps),
        ("lists.range(60000).map(x, mb == mb + '')", steps),
        ("lists.range(60000).flatten().map(x, [x, x, x]).flatten().flatten().size()", steps),
    ] {
        let begun = Instant::now();
        let result = run(text, &cells);
        match told {
            "" => assert_eq!(result, Ok(json!(true)), "{text}"),
            told => assert!(result.as_ref().is_err_and(|why| why.contains(told)), "{text}: {:.200?}", result),
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{text} took {:?}", begun.elapsed());
    }
}

#[test]
fn numbers_times_and_patterns_out_of_range_are_errors_of_the_record() {
    let cells = json!({"n": i64::MAX, "t": "x", "u": u64::MAX, "deep": "(".repeat(3_000)});
    for text in [
        "n + 1",
        "-(-n - 1)",
        "n * n",
        "int('99999999999999999999')",
        "int(1e300)",
        "uint(-1)",
        "timestamp('9999-12-31T23:59:59Z') + duration('999999h')",
        "timestamp(n)",
        "duration('1e300h')",
        "timestamp('99999-01-01T00:00:00Z')",
        "'%1000000000d'.format([1])",
        "'%.1000000000f'.format([1.0])",
        "t.substring(0, 1000000000)",
        "t.matches(deep)",
        "t.matches('a' + '{1000}{1000}')",
        "t.charAt(n)",
        "[1].slice(0, n)",
        "math.bitShiftLeft(1, -1)",
        "1.0 / 0.0",
        "bytes(t) + t",
    ] {
        assert!(run(text, &cells).is_err(), "{text}");
    }
    for text in ["t.matches('a{1000}{1000}{1000}')", "t.matches('(')", "t.matches('\\\\w{9000}')"] {
        assert!(refused(text).message.contains("pattern of matches()"), "{text}");
    }
}

#[test]
fn ordinary_work_over_large_cells_passes() {
    let cells = json!({
        "mb": "a b ".repeat(240_000), "email": " Ann@Acme.com ",
        "people": (0..1_000).map(|i| json!({"name": format!("n{i}"), "team": format!("t{}", i % 40)})).collect::<Vec<_>>(),
        "teams": (0..30).map(|i| format!("t{i}")).collect::<Vec<_>>(),
        "csv": (0..2_000).map(|i| format!(" v{i} ")).collect::<Vec<_>>().join(","),
    });
    for (text, expected) in [
        ("people.filter(p, teams.exists(t, t == p.team)).size()", json!(750)),
        (
            "people.filter(p, teams.exists(t, t == p.team && p.name != '' && t != 'x' && p.name != t)).size()",
            json!(750),
        ),
        ("people.map(p, p.name.upperAscii() + '@' + p.team).size()", json!(1_000)),
        ("people.map(p, p.team).distinct().size()", json!(40)),
        ("people.map(p, p.team).sort()[0]", json!("t0")),
        ("people.sortBy(p, p.name)[1].name", json!("n1")),
        ("csv.split(',').map(v, v.trim()).filter(v, v.endsWith('7')).size()", json!(200)),
        ("csv.split(',').map(v, v.trim()).join(';').size()", json!(10_889)),
        ("mb.trim().size()", json!(959_999)),
        ("mb.contains('b a')", json!(true)),
        ("mb.matches('^a')", json!(true)),
        (r"email.trim().matches('^[\\w.+-]{1,64}@[\\w.-]{1,100}$')", json!(true)),
        ("mb.replace('zz', 'yyy').size()", json!(960_000)),
        ("mb.replace('a', 'c').size()", json!(960_000)),
        ("mb.upperAscii().startsWith('A B')", json!(true)),
        ("mb != '' ? email.trim().lowerAscii() : ''", json!("ann@acme.com")),
        ("mb.substring(0, 3) + '!'", json!("a b!")),
        ("lists.range(1000).map(x, x * 2).size()", json!(1_000)),
    ] {
        assert_eq!(run(text, &cells), Ok(expected), "{text}");
    }
}

#[test]
fn large_inputs_change_no_result() {
    // Beside a large cell that is only looked at, everything is guarded; without it, nothing is.
    let cells = |pad: usize| {
        json!({
            "pad": "x".repeat(pad), "a": " Ann ", "b": "Bo", "n": 3, "tags": ["b", "a", "b"], "e": "",
            "m": {"k": "v", "n": {"d": 1}}, "start": "2026-11-30",
        })
    };
    for text in [
        "a.trim() + b",
        "a + b + e",
        "a.replace('n', 'm').trim()",
        "tags.map(t, t + b)",
        "tags.filter(t, t != 'b')",
        "tags.map(t, t == 'b', t + '!')",
        "tags.exists(t, t == 'a')",
        "tags.all(t, t.size() == 1)",
        "tags.exists_one(t, t == 'a')",
        "tags.exists_one(t, t == 'b')",
        "tags.sort().join('-')",
        "tags.distinct().size()",
        "tags.sortBy(t, t + a)",
        "row.m.k",
        "row['m'].n.d + n",
        "{'x': a, b: n}",
        "{'Bo': 'y'}[b]",
        "[a, [b]].flatten()",
        "n > 2 ? 'big' : 'small'",
        "start > today",
        "today in [start]",
        "math.greatest(n, 7)",
        "math.least([n, 7])",
        "lists.range(n)",
        "'%s-%d'.format([a.trim(), n])",
        "strings.quote(a)",
        "int('7') + n",
        "string(n) + a",
        "n / 0",
        "a + n",
        "tags.map(t, int(t))",
        "tags[9]",
        "a.matches('^ A')",
        "a.matches('^' + b)",
        "a.nothing",
        "-n",
        "!(n == 3)",
        "tags.exists(t, int(t) == 1)",
        "tags.exists(t, t == 'b' || int(t) == 1)",
        "n == 3 || a.size() / 0 == 1",
        "a < b",
        "a in tags",
        "'k' in row.m",
        "a.split('n')",
        "a.split('n', 2).size()",
        "type(a) == string",
        "[] + tags",
        "optional.of(a).orValue(b)",
        "tags[?7].orValue(b)",
        "a.indexOf('n')",
        "a.lastIndexOf('n')",
        "bytes(a) == b'x'",
        "timestamp('2026-01-01T00:00:00Z') + duration('1h')",
        "has(row.m)",
        "tags.map(t, tags.map(u, t + u)).flatten()",
    ] {
        let of = |pad: usize| match Expression::compile(&format!("pad == 'never' ? null : ({text})")) {
            Err(problems) => Err(problems[0].message.clone()),
            Ok(expression) => {
                let cells = cells(pad);
                let cell = |name: &str| cells.get(name);
                expression.evaluate(&Scope::new(&cell, LocalTime::noon("2026-11-22")))
            }
        };
        assert_eq!(of(1), of(600_000), "{text}");
    }
}
