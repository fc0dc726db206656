package mailer

import (
	"os"
	"strings"
)

// bootID names this start of the machine, or is empty.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
