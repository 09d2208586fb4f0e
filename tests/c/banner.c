/* Speaks first: writes a banner before it reads anything, then echoes lines until the client ends. */
#include <stdio.h>

int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("banner: speak");
	while (fgets(line, sizeof line, stdin))
		fputs(line, stdout);
	return ferror(stdin) || ferror(stdout);
}
