/* Answers, so that the client has seen something, then dies of a null pointer. */
#include <stddef.h>
#include <unistd.h>

int main(void)
{
	static const char answer[] = "about to crash\n";
	volatile int *nowhere = NULL;

	if (write(1, answer, sizeof answer - 1) < 0)
		return 1;
	return *nowhere;
}
