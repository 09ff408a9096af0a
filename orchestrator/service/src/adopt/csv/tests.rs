//! Every kind of bad row, by line, column and reason.

use proptest::prelude::*;

use super::*;

const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

fn parse(body: impl AsRef<[u8]>) -> Vec<Parsed> {
    let file = [HEADER.as_bytes(), body.as_ref()].concat();
    Rows::new(file.into(), 100).expect("the header is right").collect()
}

fn refused(parsed: &Parsed) -> Vec<(u64, u32, Option<&'static str>, &'static str)> {
    let Parsed::Refused(faults) = parsed else { panic!("not refused: {parsed:?}") };
    assert!(faults.iter().all(|fault| fault.detail.len() > 10), "a fault says what to do: {faults:?}");
    faults
        .iter()
        .map(|fault| (fault.line, fault.column, fault.field.map(Field::as_str), fault.code.as_str()))
        .collect()
}

fn row(parsed: &Parsed) -> &Row {
    let Parsed::Row(row) = parsed else { panic!("not a row: {parsed:?}") };
    row
}

#[test]
fn a_bad_row_is_named_by_line_column_and_reason() {
    let many = (0..101).map(|n| format!("n{n}.shop.com")).collect::<Vec<_>>().join(" ");
    let long_name = ["a".repeat(60).as_str(); 5].join(".") + ".com";
    let cases: Vec<(Vec<u8>, u32, Option<&str>, &str)> = vec![
        (b"t1,s1,,http-01,".to_vec(), 7, Some("names"), "names_missing"),
        (b"t1,s1,   ,http-01,".to_vec(), 7, Some("names"), "names_missing"),
        (b"t1,s1,a.com co.uk,http-01,".to_vec(), 13, Some("names"), "public_suffix"),
        (b"t1,s1,192.0.2.7,http-01,".to_vec(), 7, Some("names"), "ip_address"),
        (b"t1,s1,[2001:db8::1],http-01,".to_vec(), 7, Some("names"), "ip_address"),
        (b"t1,s1,a_b.shop.com,http-01,".to_vec(), 7, Some("names"), "underscore"),
        (b"t1,s1,shop,http-01,".to_vec(), 7, Some("names"), "not_fully_qualified"),
        (b"t1,s1,shop.exampel,http-01,".to_vec(), 7, Some("names"), "unknown_suffix"),
        (b"t1,s1,shop.test,http-01,".to_vec(), 7, Some("names"), "special_use"),
        (b"t1,s1,sh!op.com,http-01,".to_vec(), 7, Some("names"), "bad_characters"),
        (b"t1,s1,-shop.com,http-01,".to_vec(), 7, Some("names"), "bad_dns_label"),
        (b"t1,s1,w*.shop.com,http-01,".to_vec(), 7, Some("names"), "misplaced_wildcard"),
        (b"t1,s1,*.shop.com,http-01,".to_vec(), 7, Some("names"), "challenge_not_offered"),
        (b"t1,s1,a.b.c.d.e.f.g.h.i.shop.com,http-01,".to_vec(), 7, Some("names"), "too_many_dns_labels"),
        (format!("t1,s1,{long_name},http-01,").into_bytes(), 7, Some("names"), "name_too_long"),
        (
            b"t1,s1,shop.com www.shop.com SHOP.com.,http-01,".to_vec(),
            29,
            Some("names"),
            "name_repeated_in_row",
        ),
        (format!("t1,s1,{many},http-01,").into_bytes(), 7, Some("names"), "too_many_names"),
        (b"t1,s1,shop.com,htpp-01,".to_vec(), 16, Some("challenge"), "unknown_challenge"),
        (b"t1,s1,shop.com,,".to_vec(), 16, Some("challenge"), "unknown_challenge"),
        (b"t1,s1,shop.com,tls-alpn-01,".to_vec(), 16, Some("challenge"), "challenge_not_offered"),
        (b"T1,s1,shop.com,http-01,".to_vec(), 1, Some("tenant"), "bad_tenant"),
        (b",s1,shop.com,http-01,".to_vec(), 1, Some("tenant"), "bad_tenant"),
        (b"t-,s1,shop.com,http-01,".to_vec(), 1, Some("tenant"), "bad_tenant"),
        (b"t1,,shop.com,http-01,".to_vec(), 4, Some("external_id"), "bad_external_id"),
        (b"t1,s\x001,shop.com,http-01,".to_vec(), 4, Some("external_id"), "bad_external_id"),
        (b"t1,s1,shop.com,http-01,a=1;server".to_vec(), 28, Some("labels"), "bad_label"),
        (b"t1,s1,shop.com,http-01,a=1 a=2".to_vec(), 28, Some("labels"), "bad_label"),
        (b"t1,s1,shop.com,http-01,!=2".to_vec(), 24, Some("labels"), "bad_label"),
        (b"t1,s1,shop.com,http-01".to_vec(), 23, Some("labels"), "column_count"),
        (b"just a line".to_vec(), 12, Some("external_id"), "column_count"),
        (b"t1,s1,shop.com,http-01,a=1,b=2".to_vec(), 28, None, "column_count"),
        (b"t1,s1,\"shop.com,http-01,".to_vec(), 7, None, "quote_not_closed"),
        (b"t1,s1,sh\xffop.com,http-01,".to_vec(), 9, Some("names"), "not_utf8"),
        ("t1,é1,ü.com a_b.com,http-01,".into(), 13, Some("names"), "underscore"),
        (b"t1,s1,\"a.com a_b.com\",http-01,".to_vec(), 14, Some("names"), "underscore"),
        (b"a".repeat(ROW_BYTES_MAX + 1), 1, None, "row_too_long"),
    ];
    for (bad, column, field, code) in cases {
        let body = [b"t0,good-1,before.com,http-01,\n".as_slice(), &bad, b"\nt0,good-2,after.com,http-01,\n"]
            .concat();
        let parsed = parse(body);
        let shown = String::from_utf8_lossy(&bad);
        assert_eq!(parsed.len(), 3, "{shown}");
        assert_eq!(refused(&parsed[1]), [(3, column, field, code)], "{shown}");
        assert_eq!(row(&parsed[0]).line, 2, "{shown}");
        assert_eq!(row(&parsed[2]).line, 4, "{shown}");
    }
}

#[test]
fn a_wildcard_is_taken_where_a_record_proves_it() {
    let parsed = parse("t1,s1,*.shop.com shop.com,dns-01,\nt1,s2,*.a.com,nope,\n");
    assert_eq!(row(&parsed[0]).names.canonical(), "*.shop.com,shop.com");
    assert_eq!(row(&parsed[0]).challenge.as_str(), "dns-01");
    assert_eq!(refused(&parsed[1]), [(3, 15, Some("challenge"), "unknown_challenge")]);
}

#[test]
fn everything_that_is_wrong_with_a_row_is_said_at_once() {
    let parsed = parse("T,,co.uk a_b.com,nope,x\n");
    let expected = [
        (2, 1, Some("tenant"), "bad_tenant"),
        (2, 3, Some("external_id"), "bad_external_id"),
        (2, 4, Some("names"), "public_suffix"),
        (2, 10, Some("names"), "underscore"),
        (2, 18, Some("challenge"), "unknown_challenge"),
        (2, 23, Some("labels"), "bad_label"),
    ];
    assert_eq!(refused(&parsed[0]), expected);
}

#[test]
fn rows_are_held_against_the_rows_before_them() {
    let parsed = parse(
        "t1,s1,a.com b.com,http-01,\n\
         t2,s1,c.com B.COM,http-01,\n\
         t1,s1,a.com,http-01,\n\
         t1,s1,b.com a.com,http-01,\n\
         t1,s1,b.com a.com,http-01,x=1\n\
         t2,s2,c.com,http-01,\n",
    );
    assert_eq!(row(&parsed[0]).line, 2);
    assert_eq!(refused(&parsed[1]), [(3, 13, Some("names"), "name_repeated_in_file")]);
    assert_eq!(refused(&parsed[2]), [(4, 4, Some("external_id"), "external_id_repeated")]);
    assert_eq!(parsed[3], Parsed::Repeat { line: 5 });
    assert_eq!(refused(&parsed[4]), [(6, 4, Some("external_id"), "external_id_repeated")]);
    assert_eq!(row(&parsed[5]).names.canonical(), "c.com", "a refused row takes no name");
}

#[test]
fn byte_order_mark_carriage_returns_blank_lines_and_a_missing_last_newline_are_fine() {
    let file = "\u{feff}tenant,external_id,names,challenge,labels\r\n\r\nt1,s1,www.müller.de müller.de,http-01,server=web18;rack=4\r\n\nt1,s2,\"b.com\",http-01,";
    let rows: Vec<_> = Rows::new(file.into(), 100).expect("the header is right").collect();
    assert_eq!(rows.len(), 2);
    let first = row(&rows[0]);
    assert_eq!((first.line, first.names.canonical().as_str()), (3, "www.xn--mller-kva.de,xn--mller-kva.de"));
    let apex = Hostname::parse("müller.de").expect("a name");
    assert_eq!(first.column_of(&apex), Some(21));
    assert_eq!(
        first.labels,
        [("rack", "4"), ("server", "web18")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(row(&rows[1]).line, 5);
}

#[test]
fn a_file_without_the_header_is_refused_as_a_whole() {
    let error = |file: &'static str| Rows::new(file.into(), 100).expect_err("no such header");
    assert_eq!(error(""), FileError::Empty);
    assert_eq!(error("t1,s1,a.com,http-01,\n"), FileError::Header { column: 1 });
    assert_eq!(error("tenant,external_id,name,challenge,labels\n"), FileError::Header { column: 20 });
    assert_eq!(error("tenant,external_id,names,challenge\n"), FileError::Header { column: 35 });
    assert_eq!(error("tenant,external_id,names,challenge,labels,x\n"), FileError::Header { column: 43 });
    let huge = "\n".repeat(ROWS_MAX + 2);
    assert_eq!(Rows::new(huge.into(), 100).expect_err("too many"), FileError::TooManyRows { most: ROWS_MAX });
}

#[test]
fn the_ca_may_allow_fewer_names_than_the_format() {
    let file = format!("{HEADER}t1,s1,a.com b.com c.com,http-01,\n");
    let rows: Vec<_> = Rows::new(file.into(), 2).expect("the header is right").collect();
    assert_eq!(refused(&rows[0]), [(2, 7, Some("names"), "too_many_names")]);
}

prop_compose! {
    fn fields()(
        tenant in "[a-z0-9]([a-z0-9._-]{0,10}[a-z0-9])?",
        external in "[a-zA-Z0-9 ,\"';ä|-]{1,20}",
        labels in prop::collection::btree_map("[a-z]{1,5}", "[a-z0-9\",]{0,5}", 0..4),
        separator in prop::sample::select(vec![";", " ", "; "]),
        count in 1_usize..4,
    ) -> (String, String, BTreeMap<String, String>, String, usize) {
        let text = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(separator);
        (tenant, external, labels, text, count)
    }
}

proptest! {
    /// What another CSV writer writes is read back, value by value.
    #[test]
    fn written_rows_are_read_back(wishes in prop::collection::vec(fields(), 0..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS).expect("in memory");
        let mut expected = Vec::new();
        for (number, (tenant, external, labels, text, count)) in wishes.into_iter().enumerate() {
            let external = format!("{number}{external}");
            let names: Vec<String> = (0..count).map(|n| format!("n{n}.site-{number}.com")).collect();
            writer.write_record([&tenant, &external, &names.join(" "), "http-01", &text]).expect("in memory");
            expected.push((tenant, external, names.join(","), labels));
        }
        let file = writer.into_inner().expect("in memory");
        let read: Vec<_> = Rows::new(file.into(), 100)
            .expect("the header is right")
            .map(|parsed| {
                let row = row(&parsed).clone();
                (row.tenant, row.external_id, row.names.canonical(), row.labels)
            })
            .collect();
        prop_assert_eq!(read, expected);
    }

    /// No input stops the parser or costs a good row that follows it on a line of its own.
    #[test]
    fn whatever_comes_before_it_a_good_row_is_read(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let body = [noise.as_slice(), b"\nt9,last,last-one.com,http-01,\n"].concat();
        let parsed = parse(body);
        let last = parsed.last().expect("the last row");
        prop_assert_eq!(&row(last).external_id, "last");
    }
}
