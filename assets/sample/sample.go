// Package sample is the built-in mailing with which a new user can try
// everything: a personalised message, twenty made-up people whose addresses can
// never exist (RFC 2606), and an attachment.
package sample

import _ "embed"

// Subject is the subject of the sample mailing, personalised.
const Subject = `{{first_name | default "Dear guest"}}, we open late this winter 🍺`

// Name is what the sample mailing is called.
const Name = "Winter opening hours"

var (
	//go:embed message.md
	message []byte
	//go:embed people.csv
	people []byte
	//go:embed opening-hours.pdf
	hours []byte
)

// File is one file of the sample.
type File struct {
	Name    string
	Type    string // media type
	Content []byte // shared: do not change it
}

// Message returns the body in Markdown with merge tags.
func Message() File { return File{"message.md", "text/markdown; charset=utf-8", message} }

// People returns the sheet of recipients: CSV in UTF-8 with a header row of
// email, first_name, last_name, city and vip.
func People() File { return File{"people.csv", "text/csv; charset=utf-8", people} }

// Attachment returns a PDF of one page.
func Attachment() File { return File{"opening-hours.pdf", "application/pdf", hours} }

// Files returns all of them.
func Files() []File { return []File{Message(), People(), Attachment()} }
