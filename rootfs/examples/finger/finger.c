/* A finger server (RFC 1288): one line in, the file of that name below /plans out. Without a name, all names. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define PLANS "/plans"

/* A name is letters, digits, - and _: no path can be one. */
static int is_name(const char *text)
{
	if (!*text || strlen(text) > 32)
		return 0;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '-' && *text != '_')
			return 0;
	return 1;
}

/* Line ends as RFC 1288 wants them, and nothing that a terminal would obey. */
static void show(FILE *plan)
{
	int c;

	while ((c = getc(plan)) != EOF) {
		if (c == '\n')
			fputs("\r\n", stdout);
		else if (c == '\t' || (c >= ' ' && c != 0x7f && !(c >= 0x80 && c < 0xa0)))
			putchar(c);
	}
}

static void list(void)
{
	DIR *plans = opendir(PLANS);
	struct dirent *entry;

	while (plans && (entry = readdir(plans)))
		if (is_name(entry->d_name))
			printf("%s\r\n", entry->d_name);
	if (plans)
		closedir(plans);
}

int main(void)
{
	char line[256], path[64];
	char *name = line;
	FILE *plan;

	if (!fgets(line, sizeof line, stdin))
		return 1;
	line[strcspn(line, "\r\n")] = '\0';
	/* /W asks for more; there is no more. */
	if (!strncmp(name, "/W", 2))
		name += 2;
	name += strspn(name, " ");
	if (strchr(name, '@')) {
		fputs("This server asks no other one.\r\n", stdout);
	} else if (!*name) {
		list();
	} else {
		snprintf(path, sizeof path, PLANS "/%.32s", is_name(name) ? name : "-");
		plan = fopen(path, "r");
		if (plan)
			show(plan);
		else
			fputs("Nobody of that name here.\r\n", stdout);
	}
	fprintf(stderr, "asked for %s\n", *name ? name : "all");
	return fflush(stdout) != 0;
}
