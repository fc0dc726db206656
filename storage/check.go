package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Check reads the whole ledger and returns what is wrong with it in plain
// words; none means that it is sound. It changes nothing.
func (l *Ledger) Check(ctx context.Context) ([]string, error) {
	const op = "check the ledger"
	var problems []string
	rows, err := l.r.QueryContext(ctx, "PRAGMA integrity_check")
	if err != nil {
		return nil, classify(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, classify(op, err)
		}
		if s != "ok" {
			problems = append(problems, "the file: "+s)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, classify(op, err)
	}
	if len(problems) > 0 {
		return problems, nil
	}
	for _, c := range []struct{ what, query string }{
		{"rows that point to nothing", "SELECT count(*) FROM pragma_foreign_key_check"},
		{"counters of mailings that do not match their rows", `SELECT count(*) FROM (
			SELECT mailing_id, state, n FROM mailing_counts WHERE n <> 0 EXCEPT
			SELECT d.mailing_id, d.state, count(*) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id AND m.ready = 1 GROUP BY 1, 2
			UNION ALL
			SELECT * FROM (SELECT d.mailing_id, d.state, count(*) FROM deliveries d JOIN mailings m ON m.id = d.mailing_id AND m.ready = 1 GROUP BY 1, 2
			EXCEPT SELECT mailing_id, state, n FROM mailing_counts))`},
		{"counters of receipts that do not match their rows", `SELECT count(*) FROM (
			SELECT mailing_id, receipt, n FROM receipt_counts WHERE n <> 0 EXCEPT
			SELECT mailing_id, receipt, count(*) FROM deliveries WHERE receipt <> 'none' GROUP BY 1, 2
			UNION ALL
			SELECT * FROM (SELECT mailing_id, receipt, count(*) FROM deliveries WHERE receipt <> 'none' GROUP BY 1, 2
			EXCEPT SELECT mailing_id, receipt, n FROM receipt_counts))`},
		{"people who are not where their name belongs", `SELECT CASE WHEN EXISTS (SELECT 1 FROM imports) THEN 0 ELSE
			(SELECT count(*) FROM contacts c WHERE NOT EXISTS (SELECT 1 FROM contact_names n WHERE n.name = c.name AND n.id = c.id)) +
			(SELECT count(*) FROM contact_names n WHERE NOT EXISTS (SELECT 1 FROM contacts c WHERE c.id = n.id AND c.name = n.name)) END`},
		{"deliveries whose send log is not complete", `SELECT count(*) FROM deliveries d WHERE d.tries <> (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id)`},
		{"sent deliveries without a send log", `SELECT count(*) FROM deliveries WHERE state = 'sent' AND tries = 0 AND reason = ''`},
		{"mailings without rows of their own", `SELECT count(*) FROM mailings m WHERE ready = 1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.mailing_id = m.id)`},
	} {
		var n int64
		if err := l.r.QueryRowContext(ctx, c.query).Scan(&n); err != nil {
			return nil, classify(op, fmt.Errorf("%s: %w", c.what, err))
		}
		if n > 0 {
			problems = append(problems, fmt.Sprintf("%d %s", n, c.what))
		}
	}
	places, err := l.checkMembers(ctx)
	if err != nil {
		return nil, classify(op, err)
	}
	problems = append(problems, places...)
	lost, err := l.lostImports(ctx)
	if err != nil {
		return nil, classify(op, err)
	}
	if len(lost) > 0 {
		problems = append(problems, fmt.Sprintf("%d imports that were not finished and whose rows are gone: import the file again", len(lost)))
	}
	bad, err := l.checkBlobs(ctx)
	return append(problems, bad...), classify(op, err)
}

// checkMembers compares the members of all lists with the lists and the book, as of
// one moment.
func (l *Ledger) checkMembers(ctx context.Context) (problems []string, err error) {
	tx, err := l.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	var text string
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(group_concat(id), '') FROM contacts").Scan(&text); err != nil {
		return nil, err
	}
	book := map[int64]uint64{}
	if err := eachID(text, func(id int64) {
		b := blockOf(id)
		book[b.at] |= b.bits
	}); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT m.list_id, l.id IS NULL, m.block, m.bits FROM list_members m LEFT JOIN lists l ON l.id = m.list_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	places := map[int64]int64{} // by list
	var strays, empty int64
	for rows.Next() {
		var list, at, word int64
		var gone bool
		if err := rows.Scan(&list, &gone, &at, &word); err != nil {
			return nil, err
		}
		b := block{at, uint64(word)}
		if b.bits == 0 {
			empty++
		}
		places[list] += b.len()
		if !gone {
			b.bits &^= book[at]
		}
		strays += b.len()
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	all, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	var wrong int64
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM lists WHERE members <> coalesce(? ->> ('$."' || id || '"'), 0)`, string(all)).Scan(&wrong); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		n    int64
		what string
	}{
		{wrong, "lists whose size does not match their people"},
		{strays, "places on lists that are nobody's or of no list"},
		{empty, "blocks of lists that have nobody"},
	} {
		if c.n > 0 {
			problems = append(problems, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return problems, nil
}
