package storage

import (
	"context"
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
		{"lists whose size does not match their people", `SELECT count(*) FROM lists l WHERE members <> (SELECT count(*) FROM list_members m WHERE m.list_id = l.id)`},
		{"places on lists that are nobody's or of no list", `SELECT count(*) FROM list_members m WHERE NOT EXISTS (SELECT 1 FROM contacts c WHERE c.id = m.contact_id)
			OR NOT EXISTS (SELECT 1 FROM lists l WHERE l.id = m.list_id)`},
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
