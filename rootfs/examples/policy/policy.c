/* A policy service for Postfix (SMTPD_POLICY_README): requests of lines name=value, each ended by an empty line; to each
 * request one line action=..., and an empty one. Postfix keeps the connection for the next request.
 *
 * /rules has lines "name=value action", the value with an optional * at its end; the first that holds decides. */
#include <stdio.h>
#include <string.h>

#define LINES 64
#define LENGTH 1024

static char request[LINES][LENGTH];
static int attributes;

/* Whether the request has an attribute as the rule wants it. */
static int holds(const char *rule, size_t length)
{
	int prefix = length && rule[length - 1] == '*';
	int i;

	for (i = 0; i < attributes; i++)
		if (prefix ? !strncmp(request[i], rule, length - 1)
			   : strlen(request[i]) == length && !memcmp(request[i], rule, length))
			return 1;
	return 0;
}

static void decide(char *action, size_t size)
{
	char rule[LENGTH];
	FILE *rules = fopen("/rules", "r");
	size_t length;

	snprintf(action, size, "DUNNO");
	if (!rules) {
		fputs("there are no /rules\n", stderr);
		return;
	}
	while (fgets(rule, sizeof rule, rules)) {
		rule[strcspn(rule, "\n")] = '\0';
		length = strcspn(rule, " ");
		if (*rule == '#' || !rule[length] || !holds(rule, length))
			continue;
		snprintf(action, size, "%s", rule + length + 1);
		break;
	}
	fclose(rules);
}

int main(void)
{
	char line[LENGTH], action[LENGTH];
	size_t length;

	while (fgets(line, sizeof line, stdin)) {
		length = strcspn(line, "\n");
		if (!line[length])
			return 1; /* Longer than any attribute. */
		line[length] = '\0';
		if (length) {
			if (attributes < LINES)
				memcpy(request[attributes++], line, length + 1);
			continue;
		}
		decide(action, sizeof action);
		attributes = 0;
		printf("action=%s\n\n", action);
		if (fflush(stdout))
			return 1;
	}
	return 0;
}
