package mailer

import (
	"fmt"
	"strings"
)

type rows []int

func (r rows) String() string {
	words := make([]string, len(r))
	for i, n := range r {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ",")
}
