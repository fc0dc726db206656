package post

import "encoding/json"

// Reason says why something is as it is: a key of the catalogue, the values
// that its sentence needs, and the raw text of a server where one gave it. The
// words are made when they are shown, in the user's language. Raw is untrusted
// input: it is cleaned (see CleanReply) before it gets here.
type Reason struct {
	Key  string   `json:"key,omitempty"`
	Args []string `json:"args,omitempty"`
	Raw  string   `json:"raw,omitempty"`
}

// IsZero reports whether there is no reason at all.
func (r Reason) IsZero() bool { return r.Key == "" && r.Raw == "" && len(r.Args) == 0 }

// Encode returns the form in which the ledger keeps a reason: JSON, or an
// empty string for none.
func (r Reason) Encode() string {
	if r.IsZero() {
		return ""
	}
	b, err := json.Marshal(r)
	if err != nil { // a struct of strings always marshals
		return ""
	}
	return string(b)
}

// DecodeReason reads what Encode wrote. Anything else is kept as raw text, so
// that a reason is never lost.
func DecodeReason(s string) Reason {
	if s == "" {
		return Reason{}
	}
	var r Reason
	if err := json.Unmarshal([]byte(s), &r); err != nil {
		return Reason{Raw: s}
	}
	return r
}
