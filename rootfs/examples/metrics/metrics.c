/* An HTTP/1.0 server of one page, /metrics, for Prometheus: what each supervisor has written to PLACE/public-NAME/metrics.
 *
 * Each of these files is OpenMetrics text of one service. A family may stand in a page only once, so its samples of all files
 * are put together. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "/stats"
#define FILES 64
#define LARGEST (256 << 10)
#define REQUEST 8192

static char *pages[FILES];
static int count;

static void add(const char *name)
{
	char path[512];
	char *page = malloc(LARGEST + 1);
	FILE *file;
	size_t length;

	snprintf(path, sizeof path, PLACE "/%s/metrics", name);
	file = page && count < FILES ? fopen(path, "r") : NULL;
	if (!file) {
		free(page);
		return;
	}
	length = fread(page, 1, LARGEST, file);
	fclose(file);
	page[length] = '\0';
	pages[count++] = page;
}

static int is_head(const char *line)
{
	return *line == '#';
}

/* The lines of a family: from its "# TYPE NAME ..." to the next one's. NULL: the page has none of that name. */
static const char *family(const char *page, const char *name, size_t length)
{
	const char *line;

	for (line = page; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "# TYPE ", 7) && !strncmp(line + 7, name, length) && line[7 + length] == ' ')
			return line;
	}
	return NULL;
}

/* Writes the lines of a family that are samples, or those that are not. */
static void put(FILE *out, const char *from, int heads)
{
	const char *line, *end;
	int first = 1;

	for (line = from; line && (end = strchr(line, '\n')); line = end + 1, first = 0) {
		if (!first && (!strncmp(line, "# TYPE ", 7) || !strncmp(line, "# EOF", 5)))
			return;
		if (is_head(line) == heads)
			fwrite(line, 1, end - line + 1, out);
	}
}

/* Each family of the pages once, where the first page with it has it. */
static void merge(FILE *out)
{
	const char *line, *name;
	size_t length;
	int i, j, seen;

	for (i = 0; i < count; i++) {
		for (line = strstr(pages[i], "# TYPE "); line; line = strstr(line + 1, "\n# TYPE ")) {
			name = line + (*line == '\n') + 7;
			length = strcspn(name, " \n");
			for (j = seen = 0; j < i; j++)
				seen |= family(pages[j], name, length) != NULL;
			if (seen)
				continue;
			put(out, family(pages[i], name, length), 1);
			for (j = i; j < count; j++)
				put(out, family(pages[j], name, length), 0);
		}
	}
	fputs("# EOF\n", out);
}

static int answer(const char *status, const char *type, const char *body, size_t length, int head)
{
	printf("HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, type, length);
	if (!head)
		fwrite(body, 1, length, stdout);
	return fflush(stdout) ? 1 : 0;
}

static int refuse(const char *status)
{
	return answer(status, "text/plain", status, strlen(status), 0);
}

int main(void)
{
	char request[REQUEST], method[8], path[64], line[REQUEST];
	size_t total = 0, size = 0;
	char *body = NULL;
	struct dirent *entry;
	FILE *out;
	DIR *place;
	int end = 0;

	if (!fgets(request, sizeof request, stdin))
		return 0; /* A check whether somebody listens. */
	while (fgets(line, sizeof line, stdin) && strcspn(line, "\r\n"))
		if ((total += strlen(line)) > REQUEST)
			return refuse("400 Bad Request");
	if (sscanf(request, "%7[A-Z] %63s HTTP/1.%n", method, path, &end) != 2 || !end)
		return refuse("400 Bad Request");
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return refuse("405 Method Not Allowed");
	if (strcmp(path, "/metrics"))
		return refuse("404 Not Found");
	place = opendir(PLACE);
	while (place && (entry = readdir(place)))
		if (!strncmp(entry->d_name, "public-", 7))
			add(entry->d_name);
	out = open_memstream(&body, &size);
	if (!place || !out) {
		fputs("cannot read " PLACE "\n", stderr);
		return refuse("500 Internal Server Error");
	}
	merge(out);
	fclose(out);
	return answer("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", body, size, *method == 'H');
}
