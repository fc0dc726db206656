// Package compose makes one message for one recipient: it merges a mailing's
// words with a row of data, gives HTML its text alternative, puts attachments
// in, and encodes the whole as MIME.
//
// A mailing is compiled once and rendered per recipient:
//
//  1. Compile parses subject and body, checks every merge tag, turns Markdown
//     into HTML, lets html/template find out in which context each tag stands,
//     encodes what is the same for everybody, and encodes each attachment once.
//  2. Render is a pure function of stored inputs (content, recipient, sender,
//     Message-ID, seed, date): the same inputs give the same bytes, today and
//     at the second attempt. Shared attachments are spliced in by reference.
//  3. Check looks at a whole job, row by row, before anything is queued; Queue
//     does Check, freezes files by their hash, and hands all rows to the ledger
//     in one go. The window and the command line both come through here.
//
// The merge language is a closed subset of Go's templates with bare field
// names. Tags:
//
//	{{first_name}}   {{first_name | default "customer"}}   {{upper city}}
//	{{if city}} ... {{else if eq country "DE"}} ... {{else}} ... {{end}}
//	{{field "Strange Name"}}   {{/* a note */}}   {{- trims space -}}
//	{{due | date "d MMMM yyyy"}}   {{due | date "long" "de"}}   {{amount | number "1,234.56"}}
//
// Functions: default, upper, lower, title, trim, date, number, field, and, or,
// not, eq, ne. Tags count in subject, preview text, body, addresses of links and
// names of attachments. A date or number is read only where it means one thing:
// 03/04/2026 and 1,234 are refused by Check, never guessed.
// There are no loops, variables, nested templates or dots. Every value is text;
// values are data and never become template source. A value of nothing but
// white space counts as empty. One message may read at most 64 MB of values and
// print 5 MB of text, so that no row can hold up the others.
//
// The bytes of a message hold CRLF line ends only, no line over 998 octets (RFC
// 5322 2.1.1; over 78 only where an address or a Message-ID is that long), no
// bare CR or LF, and no line that begins with a dot: text is quoted-printable
// with a leading dot written as =2E, or base64. So what goes over the wire after
// DATA is what history shows, to the byte, without dot-stuffing.
package compose
