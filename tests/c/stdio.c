/* Reads one line with stdio and answers with printf. Before its first write musl's stdout asks ioctl(TIOCGWINSZ). */
#include <stdio.h>
#include <string.h>

int main(void)
{
	char line[256];

	if (!fgets(line, sizeof line, stdin))
		return 1;
	line[strcspn(line, "\r\n")] = '\0';
	printf("you said: %s\n", line);
	return fflush(stdout) != 0;
}
